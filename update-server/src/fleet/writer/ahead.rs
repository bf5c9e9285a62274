//! The store as it will be when the batch that is under way is durable: what is folded meanwhile goes by this. Whoever read
//! here answers nobody before that batch is committed, and folds again where it isn't.

use crate::store::{Batch, Space, Store, StoreError};

/// A batch that is being committed, by its keys.
pub(crate) struct UnderWay {
    batch: Batch,
    /// Places of its puts, by space and key; of two of one key, the later stands last.
    puts: Vec<u32>,
    /// Places of its removals.
    removes: Vec<u32>,
}

/// See the module.
pub(crate) struct Ahead<'s> {
    store: &'s dyn Store,
    under_way: Option<&'s UnderWay>,
}

impl UnderWay {
    pub(super) fn of(batch: &Batch) -> Self {
        // Puts mostly stand in order already, which such a sort finds out.
        let mut puts: Vec<u32> = (0..batch.puts.len() as u32).collect();
        puts.sort_by_key(|at| {
            let (space, key, _) = &batch.puts[*at as usize];
            (*space, key.as_slice())
        });
        let mut removes: Vec<u32> = (0..batch.removes.len() as u32).collect();
        removes.sort_by_key(|at| {
            let (space, key) = &batch.removes[*at as usize];
            (*space, key.as_slice())
        });
        Self { batch: batch.clone(), puts, removes }
    }

    fn put(&self, place: usize) -> (Space, &[u8], &[u8]) {
        let (space, key, value) = &self.batch.puts[self.puts[place] as usize];
        (*space, key, value)
    }

    /// The first place whose key is greater; looked for from `from` on, so that keys in order are found quickly.
    fn past(&self, from: usize, space: Space, key: &[u8]) -> usize {
        let is_before = |place: usize| {
            let (its_space, its_key, _) = self.put(place);
            (its_space, its_key) <= (space, key)
        };
        let (mut low, mut step) = (from, 1);
        while low + step <= self.puts.len() && is_before(low + step - 1) {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.puts.len());
        low + self.puts[low..high].partition_point(|at| {
            let (its_space, its_key, _) = &self.batch.puts[*at as usize];
            (*its_space, its_key.as_slice()) <= (space, key)
        })
    }

    /// What the batch makes of a key, where it touches it; `from` is where the key before stood.
    fn find(&self, from: &mut usize, space: Space, key: &[u8]) -> Option<Option<&[u8]>> {
        *from = self.past(*from, space, key);
        if let Some((its_space, its_key, value)) = from.checked_sub(1).map(|place| self.put(place))
            && (its_space, its_key) == (space, key)
        {
            return Some(Some(value));
        }
        let removed = self.removes.binary_search_by_key(&(space, key), |at| {
            let (space, key) = &self.batch.removes[*at as usize];
            (*space, key.as_slice())
        });
        removed.is_ok().then_some(None)
    }
}

impl<'s> Ahead<'s> {
    /// The store alone, where `under_way` is none.
    pub(crate) fn of(store: &'s dyn Store, under_way: Option<&'s UnderWay>) -> Self {
        Self { store, under_way }
    }

    /// [`Store::moment`], to be asked for before anything is read.
    pub(super) fn moment(&self) -> Option<u64> {
        self.store.moment()
    }

    /// [`Store::get`].
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.under_way.and_then(|under_way| under_way.find(&mut 0, space, key)) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => self.store.get(space, key),
        }
    }

    /// [`Store::get_many`], of keys in order.
    pub(crate) fn get_many(
        &self,
        space: Space,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let Some(under_way) = self.under_way else { return self.store.get_many(space, keys) };
        let mut from = 0;
        let found: Vec<_> = keys.iter().map(|key| under_way.find(&mut from, space, key)).collect();
        if found.iter().all(Option::is_none) {
            return self.store.get_many(space, keys);
        }
        let others: Vec<Vec<u8>> = keys
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        let mut others = self.store.get_many(space, &others)?.into_iter();
        let one = |found: Option<Option<&[u8]>>| match found {
            Some(value) => value.map(<[u8]>::to_vec),
            None => others.next().flatten(),
        };
        Ok(found.into_iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FjallStore, Settings};

    #[test]
    fn what_is_under_way_stands_before_what_the_store_holds() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        let key = |number: u32| number.to_be_bytes().to_vec();
        let held =
            (0..100).fold(Batch::new(), |batch, number| batch.put(Space::Devices, key(number), *b"old"));
        store.commit(held).unwrap();
        // Out of order, one key twice, another space between.
        let batch = [70, 3, 200, 69, 3].iter().enumerate().fold(Batch::new(), |batch, (at, number)| {
            batch.put(Space::Devices, key(*number), [at as u8]).put(Space::Keys, key(*number), *b"key")
        });
        let under_way = UnderWay::of(&batch.remove(Space::Devices, key(5)).remove(Space::Devices, key(500)));
        let ahead = Ahead::of(&store, Some(&under_way));
        let expected = |number: u32| match number {
            3 => Some(vec![4]),
            69 => Some(vec![3]),
            70 => Some(vec![0]),
            200 => Some(vec![2]),
            5 => None,
            0..100 => Some(b"old".to_vec()),
            _ => None,
        };
        let numbers: Vec<u32> = (0..210).collect();
        let keys: Vec<Vec<u8>> = numbers.iter().copied().map(key).collect();
        let all: Vec<_> = numbers.iter().copied().map(expected).collect();
        assert_eq!(ahead.get_many(Space::Devices, &keys).unwrap(), all);
        for number in numbers {
            assert_eq!(ahead.get(Space::Devices, &key(number)).unwrap(), expected(number), "{number}");
        }
        assert_eq!(ahead.get_many(Space::Devices, &keys[6..60]).unwrap(), all[6..60]);
        assert_eq!(ahead.get(Space::Keys, &key(70)).unwrap(), Some(b"key".to_vec()));
        assert_eq!(ahead.get(Space::Reports, &key(70)).unwrap(), None);
        assert_eq!(Ahead::of(&store, None).get(Space::Devices, &key(3)).unwrap(), Some(b"old".to_vec()));
    }
}
