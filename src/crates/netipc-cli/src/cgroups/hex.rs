//! Container ids: runs of hexadecimal digits inside the names of directories.

/// The id after `prefix` in a component such as `docker-0123456789ab.scope`: at least `min` digits,
/// with nothing but `.scope` behind.
pub(super) fn after<'a>(component: &'a [u8], prefix: &[u8], min: usize) -> Option<&'a [u8]> {
    let id = component.strip_prefix(prefix)?;
    let id = id.strip_suffix(b".scope").unwrap_or(id);
    is_id(id, min).then_some(id)
}

/// Whether all of `id` are hexadecimal digits, and at least `min` of them.
pub(super) fn is_id(id: &[u8], min: usize) -> bool {
    id.len() >= min && id.iter().all(u8::is_ascii_hexdigit)
}
