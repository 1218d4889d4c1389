//! Names: of entries ([`Key`], plain strings), of groups of entries ([`Tag`], [`Pattern`], scopes), and the declared
//! families of names ([`Space`]).

mod id;
mod pattern;
mod registry;
mod space;
mod tag;
mod template;

pub use id::{Id, KeyWriter};
pub use space::{Key, Space, SpaceInfo};
pub use tag::Tag;

#[cfg(any(test, fuzzing))]
pub(crate) use id::KeyName;
pub(crate) use pattern::Pattern;
pub(crate) use registry::Registry;
pub(crate) use space::Typed;
pub(crate) use tag::{TagHasher, Tags};
#[cfg(any(test, fuzzing))]
pub(crate) use template::{Segment, Template};

/// The longest name of an entry, in bytes. Redis would take 512 MB; a name of more than this is a value that lost its way.
pub const MAX_NAME_BYTES: usize = 4_096;

/// What names an entry: a plain string, or a typed [`Key`] of a [`Space`].
///
/// It is sealed: these are all there are.
pub trait AsName: sealed::Sealed + Send + Sync {
    #[doc(hidden)]
    fn name(&self) -> &str;

    #[doc(hidden)]
    fn space(&self) -> Option<&SpaceInfo> {
        None
    }
}

/// What names an entry whose value is a `T`. A plain string names entries of any type, a [`Key`] those of its space.
pub trait AsKey<T>: AsName {
    #[doc(hidden)]
    fn typed(&self) -> Option<&Typed<T>> {
        None
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for str {}
    impl Sealed for String {}
    impl<V> Sealed for super::Key<'_, V> {}
    impl<S: Sealed + ?Sized> Sealed for &S {}
}

impl AsName for str {
    #[inline]
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for str {}

impl AsName for String {
    #[inline]
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for String {}

impl<S: AsName + ?Sized> AsName for &S {
    #[inline]
    fn name(&self) -> &str {
        (**self).name()
    }

    #[inline]
    fn space(&self) -> Option<&SpaceInfo> {
        (**self).space()
    }
}

impl<T, S: AsKey<T> + ?Sized> AsKey<T> for &S {
    #[inline]
    fn typed(&self) -> Option<&Typed<T>> {
        (**self).typed()
    }
}
