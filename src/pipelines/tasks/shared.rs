//! Inputs that a generation holds for as long as it runs.

use std::sync::Arc;

/// An input by value, by reference, which copies it, or in an [`Arc`], which shares it. Videos are cheap to copy in either case.
#[derive(Debug)]
pub struct Shared<T>(pub(crate) Arc<T>);

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> From<Arc<T>> for Shared<T> {
    fn from(value: Arc<T>) -> Self {
        Self(value)
    }
}

impl<T> From<&Arc<T>> for Shared<T> {
    fn from(value: &Arc<T>) -> Self {
        Self(value.clone())
    }
}

impl<T: Clone> From<&T> for Shared<T> {
    fn from(value: &T) -> Self {
        Self(Arc::new(value.clone()))
    }
}
