//! Fixed layouts: the one place where a byte offset meets a field name.

use core::{fmt, num::NonZeroU32, ops::Range};

/// What is wrong with bytes that break the wire contract (PROTOCOL.md, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Defect {
    /// Shorter than what they should hold.
    Truncated,
    /// They do not start with the magic number.
    BadMagic,
    /// They are of another version.
    BadVersion,
    /// The stated length of the envelope is not the one of this version.
    BadHeaderLen,
    /// An unknown kind of message.
    BadKind,
    /// A layout, a flag, a reserved field, a status or their combination that has no meaning.
    BadLayout,
    /// An offset or a length points outside.
    OutOfBounds,
    /// A string is not followed by a NUL.
    MissingNul,
    /// An item does not start at a multiple of 8.
    BadAlignment,
    /// There are more or fewer items than there should be.
    BadItemCount,
}

/// Bytes that break the wire contract: how, in which layout, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub defect: Defect,
    /// In which layout of PROTOCOL.md.
    pub layout: &'static str,
    /// At which byte of the layout, or of the item that starts with it.
    pub at: usize,
    /// What is wrong, as the end of a sentence that starts with the name of the layout.
    pub why: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at byte {}", self.layout, self.why, self.at)
    }
}

impl core::error::Error for Malformed {}

/// Why a value could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// It does not fit in the space left.
    Full,
    /// It has no form on the wire, such as a string with a NUL inside. Why is one pointer away, so
    /// that results of writing stay small enough for registers.
    Invalid(&'static &'static str),
    /// A reply has fewer values than the request has keys.
    TooFew,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unwritable::Full => "message is full",
            Unwritable::Invalid(why) => why,
            Unwritable::TooFew => "fewer values than keys",
        })
    }
}

impl core::error::Error for Unwritable {}

/// A field of a layout: a number of fixed size in the byte order of this machine, or a name for one.
pub trait Scalar: Copy {
    /// How many bytes it takes.
    const SIZE: usize;
    /// What is wrong with bytes that are no value of this type.
    const DEFECT: Defect = Defect::BadLayout;

    /// Reads it from the start of `from`, which must hold [`SIZE`](Self::SIZE) bytes.
    fn get(from: &[u8]) -> Option<Self>;

    /// Writes it to the start of `to`, which must hold [`SIZE`](Self::SIZE) bytes.
    fn put(self, to: &mut [u8]);
}

macro_rules! numbers {
    ($($ty:ty),*) => {$(
        impl Scalar for $ty {
            const SIZE: usize = size_of::<$ty>();

            #[inline]
            fn get(from: &[u8]) -> Option<Self> {
                from.first_chunk().map(|bytes| <$ty>::from_ne_bytes(*bytes))
            }

            #[inline]
            fn put(self, to: &mut [u8]) {
                to[..size_of::<$ty>()].copy_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}
numbers!(u16, u32, u64, i32);

/// A number that is never 0.
impl Scalar for NonZeroU32 {
    const SIZE: usize = <u32 as Scalar>::SIZE;

    #[inline]
    fn get(from: &[u8]) -> Option<Self> {
        u32::get(from).and_then(NonZeroU32::new)
    }

    #[inline]
    fn put(self, to: &mut [u8]) {
        self.get().put(to);
    }
}

/// Declares a code on the wire: a closed set of numbers with names.
macro_rules! codes {
    (
        $(#[$doc:meta])*
        $vis:vis enum $name:ident: $ty:ty $(, or $defect:ident)? {
            $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$variant_doc])* $variant = $value,)* }

        #[allow(dead_code)]
        impl $name {
            /// The name of a number, if it has one.
            pub const fn from_code(code: $ty) -> Option<Self> {
                match code {
                    $($value => Some($name::$variant),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            pub const fn code(self) -> $ty {
                self as $ty
            }
        }

        impl $crate::layout::Scalar for $name {
            const SIZE: usize = size_of::<$ty>();
            $(const DEFECT: $crate::layout::Defect = $crate::layout::Defect::$defect;)?

            #[inline]
            fn get(from: &[u8]) -> Option<Self> {
                <$ty as $crate::layout::Scalar>::get(from).and_then($name::from_code)
            }

            #[inline]
            fn put(self, to: &mut [u8]) {
                <$ty as $crate::layout::Scalar>::put(self as $ty, to);
            }
        }
    };
}

/// Where a string or an item lies: an offset and a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// In bytes, from where the layout says.
    pub offset: u32,
    /// In bytes, a NUL behind a string not counted.
    pub length: u32,
}

impl Span {
    /// The bytes it covers. One that no memory can hold ends at `usize::MAX`.
    #[inline]
    pub fn range(self) -> Range<usize> {
        self.offset as usize..(self.offset as usize).saturating_add(self.length as usize)
    }
}

impl Scalar for Span {
    const SIZE: usize = 8;

    #[inline]
    fn get(from: &[u8]) -> Option<Self> {
        let bytes: &[u8; 8] = from.first_chunk()?;
        Some(Span { offset: u32::get(bytes)?, length: u32::get(&bytes[4..])? })
    }

    #[inline]
    fn put(self, to: &mut [u8]) {
        let to = &mut to[..8];
        self.offset.put(to);
        self.length.put(&mut to[4..]);
    }
}

/// A field of a layout as PROTOCOL.md lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first byte.
    pub offset: usize,
    /// How many bytes it takes.
    pub size: usize,
    /// Its name.
    pub name: &'static str,
    /// Its value, if it never has another.
    pub value: Option<u64>,
}

/// A layout as PROTOCOL.md lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name.
    pub name: &'static str,
    /// How many bytes it takes.
    pub size: usize,
    /// Its fields, those of fixed value last.
    pub fields: &'static [Field],
}

impl Layout {
    /// Says that the value of a field, which the layout allows, is wrong where it stands.
    ///
    /// # Panics
    ///
    /// If there is no such field.
    pub fn wrong(&self, field: &str, defect: Defect, why: &'static str) -> Malformed {
        let place = self.fields.iter().find(|place| place.name == field);
        malformed(defect, self.name, place.expect("it is one of this layout").offset, why)
    }
}

/// Declares a struct and how it lies on the wire, field by field as in `PROTOCOL.md`.
///
/// Fields under `fixed` are not part of the struct: they are written as given, and refused on
/// reading when they differ. The compiler checks that every byte belongs to exactly one field.
macro_rules! layout {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident: $len:literal {
            $( $(#[$field_doc:meta])* $at:literal $field:ident: $ty:ty, )*
        } $( fixed {
            $( $fixed_at:literal $fixed:ident: $fixed_ty:ty = $value:literal
                $(, or $defect:ident)?; )*
        } )?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis struct $name { $( $(#[$field_doc])* pub $field: $ty, )* }

        #[allow(dead_code)]
        impl $name {
            /// How many bytes it takes.
            pub const LEN: usize = $len;

            /// Where each field lies.
            pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: stringify!($name),
                size: $len,
                fields: &[
                    $( $crate::layout::Field {
                        offset: $at,
                        size: <$ty as $crate::layout::Scalar>::SIZE,
                        name: stringify!($field),
                        value: None,
                    }, )*
                    $($( $crate::layout::Field {
                        offset: $fixed_at,
                        size: <$fixed_ty as $crate::layout::Scalar>::SIZE,
                        name: stringify!($fixed),
                        value: Some($value),
                    }, )*)?
                ],
            };

            /// Reads it from the start of `from`.
            ///
            /// # Errors
            ///
            /// Fewer bytes than [`LEN`](Self::LEN), or a field without its fixed value or none of
            /// its possible ones.
            #[inline]
            pub fn read(from: &[u8]) -> Result<Self, $crate::Malformed> {
                use $crate::layout::{Defect, Scalar, malformed};
                let name = stringify!($name);
                let Some(from) = from.first_chunk::<{ $len }>() else {
                    return Err(malformed(Defect::Truncated, name, from.len(), "is cut short"));
                };
                $($(
                    if <$fixed_ty as Scalar>::get(&from[$fixed_at..]) != Some($value) {
                        #[allow(unused_variables)]
                        let defect = Defect::BadLayout;
                        $( let defect = Defect::$defect; )?
                        return Err(malformed(defect, name, $fixed_at, "has an unknown value"));
                    }
                )*)?
                Ok($name { $(
                    $field: match Scalar::get(&from[$at..]) {
                        Some(value) => value,
                        None => {
                            let defect = <$ty as Scalar>::DEFECT;
                            return Err(malformed(defect, name, $at, "has an unknown value"));
                        }
                    },
                )* })
            }

            /// Writes it to the start of `to`.
            ///
            /// # Panics
            ///
            /// If `to` is shorter than [`LEN`](Self::LEN).
            #[inline]
            pub fn write(&self, to: &mut [u8]) {
                use $crate::layout::Scalar;
                let to = &mut to[..$len];
                $( self.$field.put(&mut to[$at..]); )*
                $($( <$fixed_ty as Scalar>::put($value, &mut to[$fixed_at..]); )*)?
            }
        }

        const _: () = assert!(
            $crate::layout::tiles(&$name::LAYOUT),
            "every byte of a layout belongs to exactly one field"
        );
    };
}

/// Whether the fields cover each byte exactly once.
pub(crate) const fn tiles(layout: &Layout) -> bool {
    let mut seen = 0u128;
    let mut i = 0;
    while i < layout.fields.len() {
        let field = layout.fields[i];
        let mask = ((1u128 << field.size) - 1) << field.offset;
        if field.offset + field.size > layout.size || seen & mask != 0 {
            return false;
        }
        seen |= mask;
        i += 1;
    }
    seen == u128::MAX >> (128 - layout.size)
}

#[cold]
pub(crate) const fn malformed(
    defect: Defect,
    layout: &'static str,
    at: usize,
    why: &'static str,
) -> Malformed {
    Malformed { defect, layout, at, why }
}

/// The smallest multiple of 8 that is not below `at`; `usize::MAX - 7` if there is none.
#[inline]
pub(crate) const fn align8(at: usize) -> usize {
    at.saturating_add(7) & !7
}

/// Narrows a length or an offset to its size on the wire.
#[inline]
pub(crate) fn narrow(n: usize) -> Result<u32, Unwritable> {
    u32::try_from(n).map_err(|_| Unwritable::Full)
}
