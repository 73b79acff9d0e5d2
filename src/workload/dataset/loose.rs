//! JSON values that are looked at before they are judged.
//!
//! Knows the kinds of JSON value. A [`Shape`] says which of them it can use; any
//! other is skipped and reported by its name instead of ending the reading. That
//! is what Python's scripts do: they stumble only over what they touch.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of the shape that was wanted, or the name of what was there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen<T> {
    Wanted(T),
    Other(&'static str),
}

/// What a reader makes of the kinds of value that it can use.
pub(super) trait Shape<'de>: Sized {
    type Value;

    fn text<E: Error>(self, _: &str) -> Result<Seen<Self::Value>, E> {
        Ok(Seen::Other("a string"))
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen<Self::Value>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Seen::Other("a list"))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Self::Value>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Seen::Other("an object"))
    }
}

/// Reads any JSON value through a [`Shape`].
pub(super) struct Loose<'de, S>(S, PhantomData<&'de ()>);

impl<S> Loose<'_, S> {
    pub(super) fn new(shape: S) -> Self {
        Self(shape, PhantomData)
    }
}

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Loose<'de, S> {
    type Value = Seen<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Loose<'de, S> {
    type Value = Seen<S::Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Seen::Other("true or false"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Seen::Other("a number"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Seen::Other("a number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Seen::Other("a number"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Seen::Other("null"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.0.object(object)
    }
}
