//! What the ranks of a process publish in the collectives of one communicator.

use super::{Unread, remember};
use crate::{Payload, Result, sleeper::Sleeper};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};

/// A column for each of the communicator's ranks that live here.
#[derive(Debug)]
pub(crate) struct Sheet {
    scope: u64,
    /// Ascending.
    ranks: Box<[u32]>,
    columns: Box<[Column]>,
    /// Something is among them.
    any_failed: AtomicBool,
    /// Collectives that have failed, the latest last.
    failed: Mutex<VecDeque<u32>>,
}

/// One note: a block, and how often it will be read.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) block: usize,
    pub(crate) content: Payload,
    pub(crate) readers: usize,
}

/// Where a note is, or will be: in whose column, of which collective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) column: usize,
    pub(crate) number: u32,
    pub(crate) block: usize,
}

/// What one rank has published.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Column {
    /// Moves on with each publication, and says what the latest collective is of which there is one: so that who
    /// waits for one can look without a lock, which would take its line from the core that is about to publish.
    news: AtomicU64,
    inner: Mutex<Publications>,
}

#[derive(Debug, Default)]
struct Publications {
    all: SmallVec<[Publication; 1]>,
    waiting: SmallVec<[Sleeper; 1]>,
    /// Whose it is, once it has published.
    account: Option<Arc<Unread>>,
    /// Memory of a publication that has been read, for the next one.
    spare: Notes,
}

type Notes = SmallVec<[Note; 1]>;

/// What was published at once.
#[derive(Debug)]
struct Publication {
    /// Of the collective.
    number: u32,
    /// By block, ascending; those that have been read have no readers left.
    notes: Notes,
    /// Notes that somebody will still read.
    unread: usize,
    /// Bytes of all.
    bytes: usize,
}

impl Sheet {
    pub(super) fn new(scope: u64, mut ranks: Vec<u32>) -> Self {
        ranks.sort_unstable();
        let columns = ranks.iter().map(|_| Column::default()).collect();
        let (any_failed, failed) = (AtomicBool::new(false), Mutex::default());
        Self { scope, ranks: ranks.into(), columns, any_failed, failed }
    }

    /// Whose it is.
    pub(super) fn scope(&self) -> u64 {
        self.scope
    }

    /// How many ranks have a column.
    pub(super) fn ranks(&self) -> usize {
        self.ranks.len()
    }

    /// The column of a rank.
    pub(crate) fn column(&self, rank: u32) -> Option<usize> {
        // Mostly they have consecutive numbers.
        let guess = rank.checked_sub(*self.ranks.first()?)? as usize;
        match self.ranks.get(guess) {
            Some(found) if *found == rank => Some(guess),
            _ => self.ranks.binary_search(&rank).ok(),
        }
    }

    /// Pins notes of a collective, each for as many reads as it says.
    pub(crate) fn pin(
        &self,
        column: usize,
        number: u32,
        notes: impl Iterator<Item = Result<Note>>,
        account: &Arc<Unread>,
    ) -> Result<()> {
        let Some(column) = self.columns.get(column) else { return Ok(()) };
        let mut pinned = mem::take(&mut column.inner.lock().spare);
        let (mut bytes, mut reads, mut bytes_read, mut sorted) = (0, 0, 0, true);
        for note in notes {
            let Note { block, content, readers } = note?;
            if readers == 0 {
                continue;
            }
            // One reader takes it as it is; more share bytes.
            let content = if readers > 1 { content.into_wire()? } else { content };
            let size = content.size_hint();
            (bytes, reads, bytes_read) =
                (bytes + size, reads + readers, bytes_read + size * readers);
            sorted &= pinned.last().is_none_or(|last: &Note| last.block < block);
            pinned.push(Note { block, content, readers });
        }
        if !sorted {
            pinned.sort_unstable_by_key(|note| note.block);
        }
        let unread = pinned.len();
        account.count(reads, bytes_read);
        if unread == 0 {
            return Ok(());
        }
        account.add(unread, bytes);
        let woken = {
            let mut inner = column.inner.lock();
            if self.has_failed(number) {
                drop(inner);
                account.subtract(unread, bytes);
                return Ok(());
            }
            if inner.account.is_none() {
                inner.account = Some(Arc::clone(account));
            }
            inner.all.push(Publication { number, notes: pinned, unread, bytes });
            column.tell(number);
            mem::take(&mut inner.waiting)
        };
        woken.into_iter().for_each(Sleeper::wake);
        Ok(())
    }

    /// Changes when something is published in a column.
    pub(crate) fn news(&self, column: usize) -> u64 {
        self.columns.get(column).map_or(0, |column| column.news.load(Ordering::Acquire))
    }

    /// Whether a note is there.
    pub(crate) fn has(&self, place: Place) -> bool {
        self.may_have(place).is_some_and(|column| column.inner.lock().find(place).is_some())
    }

    /// Leaves word whom to wake when something is published where a note is awaited; false if it is there.
    pub(crate) fn wait(&self, place: Place, waker: &Waker) -> bool {
        let Some(column) = self.columns.get(place.column) else { return true };
        let mut inner = column.inner.lock();
        if inner.find(place).is_some() {
            return false;
        }
        // Of a failure the mailbox tells; here nobody would remove the word.
        if !self.has_failed(place.number)
            && !inner.waiting.iter().any(|other| other.will_wake(waker))
        {
            inner.waiting.push(Sleeper::new(waker));
        }
        true
    }

    /// Reads a note, if it is there.
    pub(crate) fn read(&self, place: Place) -> Result<Option<Payload>> {
        let Some(column) = self.may_have(place) else { return Ok(None) };
        let mut inner = column.inner.lock();
        let Some((at, note)) = inner.find(place) else { return Ok(None) };
        let publication = &mut inner.all[at];
        let note = &mut publication.notes[note];
        note.readers -= 1;
        if note.readers > 0 {
            return note.content.share().map(Some);
        }
        let content = mem::replace(&mut note.content, Payload::empty());
        publication.unread -= 1;
        if publication.unread == 0 {
            let (notes, bytes) = inner.forget(at);
            let account = inner.account.clone();
            drop(inner);
            account.into_iter().for_each(|account| account.subtract(notes, bytes));
        }
        Ok(Some(content))
    }

    /// A collective has failed: what was published in it is of no use.
    pub(super) fn clear(&self, number: u32) {
        remember(&mut self.failed.lock(), number);
        self.any_failed.store(true, Ordering::Release);
        self.columns.iter().for_each(|column| column.forget(|other| other == number));
    }

    /// Nobody will read it any more.
    pub(super) fn forget_all(&self) {
        self.columns.iter().for_each(|column| column.forget(|_| true));
    }

    /// Ranks are gone: who waits for notes of theirs looks again.
    pub(super) fn gone(&self, ranks: &[u32]) {
        for column in ranks.iter().filter_map(|rank| self.columns.get(self.column(*rank)?)) {
            let woken = mem::take(&mut column.inner.lock().waiting);
            woken.into_iter().for_each(Sleeper::wake);
        }
    }

    /// How many notes are unread.
    pub(super) fn len(&self) -> usize {
        let unread =
            |column: &Column| column.inner.lock().all.iter().map(|it| it.unread).sum::<usize>();
        self.columns.iter().map(unread).sum()
    }

    /// The column of a note that can be there.
    fn may_have(&self, place: Place) -> Option<&Column> {
        self.columns.get(place.column).filter(|column| column.may_have(place))
    }

    fn has_failed(&self, number: u32) -> bool {
        self.any_failed.load(Ordering::Acquire) && self.failed.lock().contains(&number)
    }
}

impl Column {
    /// Something was published of this collective; under the lock.
    fn tell(&self, number: u32) {
        let news = self.news.load(Ordering::Relaxed);
        let (version, latest) = ((news >> 32) as u32, news as u32);
        let latest = if is_after(number, latest) { number } else { latest };
        let news = u64::from(version.wrapping_add(1)) << 32 | u64::from(latest);
        self.news.store(news, Ordering::Release);
    }

    /// Whether something can be there of a collective: of later ones than the latest there is nothing.
    fn may_have(&self, place: Place) -> bool {
        !is_after(place.number, self.news.load(Ordering::Acquire) as u32)
    }

    /// Drops publications of these collectives.
    fn forget(&self, which: impl Fn(u32) -> bool) {
        let mut gone: SmallVec<[Publication; 4]> = SmallVec::new();
        let account = {
            let mut inner = self.inner.lock();
            while let Some(at) = inner.all.iter().position(|it| which(it.number)) {
                gone.push(inner.all.swap_remove(at));
            }
            inner.account.clone()
        };
        for (publication, account) in gone.iter().zip(std::iter::repeat(account).flatten()) {
            account.subtract(publication.notes.len(), publication.bytes);
        }
    }
}

/// Whether a collective was called after another; numbers begin again after the last.
fn is_after(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

impl Publications {
    /// The publication and the note in it, if somebody may still read it.
    fn find(&self, place: Place) -> Option<(usize, usize)> {
        self.all.iter().enumerate().find_map(|(at, publication)| {
            let notes = Some(&publication.notes).filter(|_| publication.number == place.number)?;
            let note = notes.binary_search_by_key(&place.block, |note| note.block).ok()?;
            (notes[note].readers > 0).then_some((at, note))
        })
    }

    /// Drops a publication that has been read; how many notes and bytes it was.
    fn forget(&mut self, at: usize) -> (usize, usize) {
        let Publication { mut notes, bytes, .. } = self.all.swap_remove(at);
        let count = notes.len();
        notes.clear();
        self.spare = notes;
        (count, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sleeper::counting::counted;
    use futures::task::noop_waker;

    const PLACE: Place = Place { column: 1, number: 5, block: 0 };

    fn sheet() -> (Sheet, Arc<Unread>) {
        (Sheet::new(7, vec![9, 3, 4]), Arc::new(Unread::default()))
    }

    fn pin(sheet: &Sheet, account: &Arc<Unread>, bytes: usize, readers: usize) {
        let note =
            Note { block: PLACE.block, content: Payload::from_vec(vec![1u8; bytes]), readers };
        sheet.pin(PLACE.column, PLACE.number, [Ok(note)].into_iter(), account).unwrap();
    }

    fn read(sheet: &Sheet, place: Place) -> Option<Vec<u8>> {
        sheet.read(place).unwrap().map(|content| content.into_vec().unwrap())
    }

    #[test]
    fn each_rank_has_a_column() {
        let (sheet, _) = sheet();
        let columns = [3, 4, 9, 0, 5, 10].map(|rank| sheet.column(rank));
        assert_eq!(columns, [Some(0), Some(1), Some(2), None, None, None]);
    }

    #[test]
    fn a_note_is_read_as_often_as_it_says() {
        let (sheet, account) = sheet();
        assert_eq!(read(&sheet, PLACE), None);
        pin(&sheet, &account, 50, 2);
        assert_eq!((account.bytes(), sheet.len()), (50, 1));
        assert_eq!(
            [read(&sheet, PLACE), read(&sheet, PLACE)],
            [Some(vec![1; 50]), Some(vec![1; 50])]
        );
        assert_eq!(read(&sheet, PLACE), None);
        assert_eq!((account.bytes(), sheet.len()), (0, 0));
    }

    #[test]
    fn blocks_are_found_in_whatever_order_they_were_published() {
        let (sheet, account) = sheet();
        let note = |block: usize| Note {
            block,
            content: Payload::from_vec(vec![block as u8]),
            readers: 1,
        };
        let at = |number, block| Place { number, block, ..PLACE };
        // Around the end, in two collectives, and one that says no more than that it is there.
        sheet.pin(1, 5, [6, 7, 0, 1].into_iter().map(note).map(Ok), &account).unwrap();
        sheet.pin(1, 6, [3].into_iter().map(note).map(Ok), &account).unwrap();
        let signal = Note { block: crate::SIGNAL, content: Payload::empty(), readers: 1 };
        sheet.pin(1, 5, [Ok(signal)].into_iter(), &account).unwrap();
        assert_eq!((account.notes(), sheet.news(1)), (6, 3 << 32 | 6));
        assert_eq!(read(&sheet, at(5, crate::SIGNAL)), Some(vec![]));
        for block in [0, 1, 6, 7] {
            assert_eq!(read(&sheet, at(5, block)), Some(vec![block as u8]));
            assert_eq!(read(&sheet, at(5, block)), None);
        }
        assert!(!sheet.has(at(5, 3)) && sheet.has(at(6, 3)));
        assert_eq!(account.notes(), 1);
    }

    #[test]
    fn what_cannot_be_there_is_not_looked_for() {
        let (sheet, account) = sheet();
        let at = |number| Place { number, ..PLACE };
        let may_have = |number| sheet.columns[PLACE.column].may_have(at(number));
        assert!(!may_have(1) && !may_have(5));
        // Who calls two collectives at once may publish in the second one first.
        for (number, newest) in [(7, 7), (5, 7), (8, 8)] {
            let note = Note { block: 0, content: Payload::empty(), readers: 1 };
            sheet.pin(PLACE.column, number, [Ok(note)].into_iter(), &account).unwrap();
            assert!(may_have(number) && may_have(newest) && !may_have(newest + 1));
        }
        assert!([5, 7, 8].into_iter().all(|number| sheet.has(at(number))));
        assert!(is_after(1, u32::MAX) && !is_after(u32::MAX, 1) && !is_after(3, 3));
    }

    #[test]
    fn notes_of_a_failed_collective_are_gone_and_stay_away() {
        let (sheet, account) = sheet();
        pin(&sheet, &account, 0, 5);
        sheet.clear(PLACE.number);
        assert_eq!(read(&sheet, PLACE), None);
        pin(&sheet, &account, 0, 5);
        assert_eq!((read(&sheet, PLACE), sheet.len(), account.notes()), (None, 0, 0));
        // Who was not told yet waits for its alarm, and leaves no word here.
        assert!(sheet.wait(PLACE, &noop_waker()));
        assert!(sheet.columns[PLACE.column].inner.lock().waiting.is_empty());
    }

    #[test]
    fn who_waits_looks_again_when_something_is_published() {
        let (sheet, account) = sheet();
        let (task, count) = counted();
        assert!(sheet.wait(PLACE, &task) && sheet.wait(PLACE, &task));
        pin(&sheet, &account, 1, 1);
        assert_eq!(count.get(), 1);
        assert!(!sheet.wait(PLACE, &task));
        assert!(sheet.wait(Place { block: 1, ..PLACE }, &task));
        sheet.gone(&[4]);
        assert_eq!(count.get(), 2);
    }
}
