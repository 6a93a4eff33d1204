//! Definitions in the order in which their names first appeared.

use rustc_hash::FxHashMap;

/// Values by name that keep the order of first definition.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    values: Vec<T>,
    positions: FxHashMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named { values: Vec::new(), positions: FxHashMap::default() }
    }
}

impl<T> Named<T> {
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.position(name).map(|position| &self.values[position])
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.position(name).map(|position| &mut self.values[position])
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// Adds a value, or replaces the one of the same name in its place.
    pub(crate) fn insert(&mut self, name: &str, value: T) {
        match self.position(name) {
            Some(position) => self.values[position] = value,
            None => {
                self.positions.insert(name.to_owned(), self.values.len());
                self.values.push(value);
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.values
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.values.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl<T> std::ops::Index<usize> for Named<T> {
    type Output = T;

    fn index(&self, position: usize) -> &T {
        &self.values[position]
    }
}
