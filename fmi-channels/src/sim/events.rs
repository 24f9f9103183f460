//! What will happen, in the order of time; what happens at one time, in the order in which it
//! was arranged.

use fmi_actors::clock::Time;
use slab::Slab;
use std::{cmp::Reverse, collections::BinaryHeap};

/// A queue of events. Large ones do not move while the queue is put in order.
#[derive(Debug)]
pub(super) struct Events<E> {
    order: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Slab<(u64, E)>,
    arranged: u64,
}

/// An event that can be called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    number: u64,
    at: usize,
}

impl<E> Default for Events<E> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), events: Slab::new(), arranged: 0 }
    }
}

impl<E> Events<E> {
    pub(super) fn push(&mut self, time: Time, event: E) -> Key {
        let number = self.arranged;
        self.arranged += 1;
        let at = self.events.insert((number, event));
        self.order.push(Reverse((time, number, at)));
        Key { number, at }
    }

    /// Calls an event off, if it has not happened.
    pub(super) fn cancel(&mut self, key: Key) {
        if self.events.get(key.at).is_some_and(|(number, _)| *number == key.number) {
            self.events.remove(key.at);
        }
    }

    /// What happens next, and when.
    pub(super) fn pop(&mut self) -> Option<(Time, E)> {
        while let Some(Reverse((time, number, at))) = self.order.pop() {
            if self.events.get(at).is_some_and(|(other, _)| *other == number) {
                return Some((time, self.events.remove(at).1));
            }
        }
        None
    }

    /// Calls off all events of a kind.
    pub(super) fn remove(&mut self, of: impl Fn(&E) -> bool) -> Vec<E> {
        let keys: Vec<_> =
            self.events.iter().filter(|(_, (_, event))| of(event)).map(|(at, _)| at).collect();
        keys.into_iter().map(|at| self.events.remove(at).1).collect()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) -> Vec<E> {
        self.order.clear();
        self.events.drain().map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_orders_then_arrangement() {
        let mut events = Events::default();
        let keys: Vec<_> =
            [3, 1, 2, 1, 3].iter().zip('a'..).map(|(at, e)| events.push(Time(*at), e)).collect();
        events.cancel(keys[2]);
        let order: String = std::iter::from_fn(|| events.pop()).map(|(_, e)| e).collect();
        assert_eq!(order, "bdae");
        // Called off too late: another event may have its place.
        events.push(Time(9), 'f');
        keys.iter().for_each(|key| events.cancel(*key));
        assert_eq!(events.pop(), Some((Time(9), 'f')));
    }
}
