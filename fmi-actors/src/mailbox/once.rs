//! What was done for a number, so that it is done once.

use std::collections::BTreeSet;

/// Numbers that are remembered one by one.
const NUMBERS: usize = 1024;

/// Numbers for which something was done. Of very many the least count as done: what was passed
/// on must never be passed on again, or two ranks would tell each other for ever.
#[derive(Debug, Default)]
pub(super) struct Once {
    done: BTreeSet<u32>,
    /// All below count as done.
    below: u32,
}

impl Once {
    /// True the first time for a number.
    pub(super) fn first(&mut self, number: u32) -> bool {
        if number < self.below || !self.done.insert(number) {
            return false;
        }
        if self.done.len() > NUMBERS
            && let Some(least) = self.done.pop_first()
        {
            self.below = least + 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{NUMBERS, Once};

    #[test]
    fn nothing_is_done_twice_however_many_there_are() {
        let mut once = Once::default();
        let many = 3 * NUMBERS as u32;
        assert!((0..many).all(|number| once.first(number)));
        assert!((0..many).rev().all(|number| !once.first(number)));
        assert!(once.done.len() <= NUMBERS);
    }
}
