//! C structs that lie in memory as they do on the wire.

use netipc_proto::{Field, Layout};

/// A C struct whose first bytes are those of a layout of the protocol.
///
/// # Safety
///
/// Any bytes are a value of it, and none of its bytes up to the layout's length is padding.
pub(crate) unsafe trait Image: Copy {
    /// How it lies on the wire.
    const LAYOUT: Layout;

    /// The bytes on the wire, every field as it is.
    fn wire(&self) -> &[u8] {
        // SAFETY: so many of its bytes are initialised, as the trait demands.
        unsafe { std::slice::from_raw_parts((&raw const *self).cast(), Self::LAYOUT.size) }
    }

    /// The struct of the bytes at the start of `wire`, whatever they say; the rest is zero.
    fn from_wire(wire: &[u8]) -> Option<Self> {
        let wire = wire.get(..Self::LAYOUT.size)?;
        let mut image = std::mem::MaybeUninit::<Self>::zeroed();
        // SAFETY: the struct is no shorter than its layout, and any bytes are a value of it.
        unsafe {
            std::ptr::copy_nonoverlapping(wire.as_ptr(), image.as_mut_ptr().cast(), wire.len());
            Some(image.assume_init())
        }
    }

    /// Writes the bytes on the wire to the start of `out`; 0 if they do not fit.
    fn encode(&self, out: Option<&mut [u8]>) -> usize {
        let wire = self.wire();
        match out.and_then(|out| out.get_mut(..wire.len())) {
            Some(out) => {
                out.copy_from_slice(wire);
                wire.len()
            }
            None => 0,
        }
    }
}

/// Declares a C struct that is the image of a layout. The compiler checks that each member lies
/// where the layout has the field of the same name, or the one given for it.
macro_rules! image {
    (
        $vis:vis struct $name:ident: $layout:expr, {
            $($member:ident: $ty:ty $(= $field:literal)?,)*
        }
    ) => {
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default)]
        $vis struct $name { $($vis $member: $ty,)* }

        // SAFETY: the members are numbers, and the assertions below leave no gap between them.
        unsafe impl $crate::protocol::image::Image for $name {
            const LAYOUT: netipc_proto::Layout = $layout;
        }

        const _: () = {
            let members = [$((
                $crate::protocol::image::image!(@name $member $($field)?),
                std::mem::offset_of!($name, $member),
                size_of::<$ty>(),
            ),)*];
            let mut at = 0;
            let mut i = 0;
            while i < members.len() {
                let (name, offset, size) = members[i];
                assert!(offset == at, "a gap before a member");
                assert!(
                    $crate::protocol::image::has_field(&$layout, name, offset, size),
                    "a member that does not lie where its field does",
                );
                at += size;
                i += 1;
            }
            assert!(at == $layout.size, "members that are not all the fields");
        };
    };
    (@name $member:ident $field:literal) => { $field };
    (@name $member:ident) => { stringify!($member) };
}
pub(crate) use image;

/// Whether a layout has such a field.
pub(crate) const fn has_field(layout: &Layout, name: &str, offset: usize, size: usize) -> bool {
    let mut i = 0;
    while i < layout.fields.len() {
        let Field { offset: at, size: length, name: called, .. } = layout.fields[i];
        if at == offset && length == size && same(called, name) {
            return true;
        }
        i += 1;
    }
    false
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    a.len() == b.len()
}
