//! Tables that several steps look things up in, held once.
//!
//! A language model looks up one activation function and one set of angles in every block. A copy for each would be tens of megabytes, and would
//! push one another out of the cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use credence_exact::ParamId;

use crate::step::Entries;

/// The tables decoded so far.
#[derive(Default)]
pub(super) struct Tables {
    entries: BTreeMap<ParamId, Arc<Entries>>,
    integers: BTreeMap<ParamId, Arc<[i32]>>,
}

impl Tables {
    /// A function's table, decoded with `read` if it is new.
    pub(super) fn entries<E>(
        &mut self,
        param: ParamId,
        read: impl FnOnce() -> Result<Vec<i32>, E>,
    ) -> Result<Arc<Entries>, E> {
        if let Some(known) = self.entries.get(&param) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(Entries::new(read()?));
        self.entries.insert(param, Arc::clone(&new));
        Ok(new)
    }

    /// Integers as they are, decoded with `read` if they are new.
    pub(super) fn integers<E>(
        &mut self,
        param: ParamId,
        read: impl FnOnce() -> Result<Vec<i32>, E>,
    ) -> Result<Arc<[i32]>, E> {
        if let Some(known) = self.integers.get(&param) {
            return Ok(Arc::clone(known));
        }
        let new: Arc<[i32]> = read()?.into();
        self.integers.insert(param, Arc::clone(&new));
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_decoded_once() {
        let mut tables = Tables::default();
        let mut reads = 0;
        let mut read = |param| {
            let entries = tables.entries(ParamId(param), || {
                reads += 1;
                Ok::<_, ()>(vec![1, 2])
            });
            entries.unwrap()
        };
        let (a, b, c) = (read(0), read(0), read(1));
        assert!(Arc::ptr_eq(&a, &b) && !Arc::ptr_eq(&a, &c));
        assert_eq!(reads, 2);
        let one = tables
            .integers(ParamId(0), || Ok::<_, ()>(vec![7]))
            .unwrap();
        let again = tables.integers(ParamId(0), || Err(())).unwrap();
        assert!(Arc::ptr_eq(&one, &again));
        assert!(tables.integers(ParamId(1), || Err(())).is_err());
    }
}
