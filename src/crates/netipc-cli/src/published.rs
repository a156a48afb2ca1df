//! A value that one thread replaces and any number of threads read.

use std::sync::{Arc, PoisonError, RwLock};

/// The latest version of an immutable value.
#[derive(Debug, Default)]
pub struct Published<T>(RwLock<Arc<T>>);

impl<T> Published<T> {
    /// Publishes the first version.
    pub fn new(first: T) -> Self {
        Published(RwLock::new(Arc::new(first)))
    }

    /// The version of this moment, for as long as the caller keeps it.
    pub fn latest(&self) -> Arc<T> {
        // The lock guards one assignment: nothing can be half done in it.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it. Whoever holds an older version keeps that.
    pub fn publish(&self, next: T) {
        let next = Arc::new(next);
        let last =
            std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), next);
        // Freeing a large table is no business of those who wait for the lock.
        drop(last);
    }
}
