//! A group of ranks that can talk to each other.

use crate::{
    judge::Judge,
    op,
    operation::{Operation, Trouble, WaitsFor},
    plan::{Algorithm, Packs, Rule, Shelf, Table},
    protocol::Lineage,
    signature::{Call, Hint, What, describe},
};
use fmi_actors::{
    Endpoint, Error, NoRejoin, Node, Reason, Result,
    endpoint::{Collective, Publications},
    frame::{Datatype, Signature},
    mailbox::{Failure, Group},
    meter::Tier,
    store::Agreed,
};
use parking_lot::Mutex;
use std::{
    fmt,
    future::Future,
    sync::{Arc, LazyLock, OnceLock, Weak},
    time::Duration,
};

/// Ranks `0..size` that can send each other messages and take part in collectives.
///
/// Cheap to clone, and usable from any thread and any runtime. Methods take their place in the
/// order of operations when *called*, not when awaited, so calls in one task can overlap:
/// `tokio::join!(comm.allreduce(a, op::sum()), comm.allreduce(b, op::sum()))`. Tasks that run
/// independently of each other each take a [`dup`](Self::dup).
#[derive(Clone)]
pub struct Communicator {
    inner: Arc<Inner>,
    /// `None` for the library's own, which then has no count that all ranks' cores fight for.
    table: Option<Arc<Table>>,
    /// `None` if there is neither a model nor a hint.
    judge: Option<Arc<Judge>>,
}

struct Inner {
    endpoint: Endpoint,
    /// Keeps the links.
    node: Arc<Node>,
    scope: u64,
    group: Group,
    rank: usize,
    deadline: Duration,
    /// Of the communicator of the whole job.
    membership: Option<Membership>,
    /// All members live in this process.
    together: bool,
    /// Which members share a process, where there are several that links join.
    packs: Packs,
    /// Members take turns on cores or threads.
    crowded: bool,
    shelf: Shelf,
    /// How far its members are apart, once somebody wants to know.
    tier: OnceLock<Tier>,
    /// Where members of this process publish for each other, once one does.
    publications: OnceLock<Option<Arc<Publications>>>,
    /// The others were not there when it was made: every operation ends with this.
    doomed: OnceLock<Failure>,
    /// The call of a protocol that it lives in.
    lineage: Option<Arc<Lineage>>,
}

/// A rank's place in its job.
struct Membership {
    job: Box<str>,
    /// The communicator that `rejoin` made, once it did.
    next: Mutex<Option<Weak<Inner>>>,
}

impl Communicator {
    /// The communicator of all ranks of a job, on one of them. `name` keeps jobs apart.
    ///
    /// # Panics
    /// When the rank does not live in this process.
    #[must_use]
    pub fn world(node: &Arc<Node>, rank: u32, name: &str) -> Self {
        let endpoint = node.endpoint(rank).expect("the rank lives here");
        let scope =
            name.bytes().fold(mix(u64::from(node.epoch()), name.len() as u64), |hash, byte| {
                mix(hash, u64::from(byte))
            });
        let deadline = node.settings().operation;
        let membership = Membership { job: name.into(), next: Mutex::default() };
        let (node, group) = (Arc::clone(node), Arc::clone(node.world()));
        Self::open(endpoint, node, scope, group, deadline, Some(membership), None).with_told_model()
    }

    /// This rank's number, `0..size`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.inner.rank
    }

    /// How many ranks there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner.group.len()
    }

    /// The same communicator, whose collectives of that kind run this algorithm wherever it can:
    /// for one call, `comm.using(&ring::ALGORITHM).allreduce(…)`. All ranks must use the same: another
    /// choice is [`Error::Mismatch`], which names both. Of a `bcast` between processes the root's
    /// choice holds, if the others know the algorithm (the library's, or in their table).
    ///
    /// ```
    /// # use fmi_collectives as fmi;
    /// # async fn example(comm: fmi::Communicator, gradient: Vec<f32>) -> Result<(), fmi_actors::Error> {
    /// use fmi::{op, plan::allreduce::ring};
    ///
    /// let sum = comm.using(&ring::ALGORITHM).allreduce(gradient, op::sum()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn using(&self, algorithm: &'static Algorithm) -> Self {
        self.with_table(self.table().clone().prefer(Rule::always(algorithm)))
    }

    /// The same communicator, whose algorithms are chosen by this table. All ranks must have the
    /// same.
    #[must_use]
    pub fn with_table(&self, table: Table) -> Self {
        Self { table: Some(Arc::new(table)), ..self.clone() }
    }

    /// By which table algorithms are chosen, where there is no [model](Self::with_model), and which rules
    /// come before that.
    #[must_use]
    pub fn table(&self) -> &Table {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::default);
        self.table.as_deref().unwrap_or(&TABLE)
    }

    /// The same group with messages and collectives of its own. All ranks call it, in the same
    /// order relative to collectives; nothing is sent.
    #[must_use]
    pub fn dup(&self) -> Self {
        let call = Call {
            what: What::Dup,
            root: None,
            datatype: Datatype::BYTES,
            reduction: 0,
            published: false,
            hint: Hint::default(),
            terms: None,
        };
        let (number, doomed) = self.take_number(Some(call.encode()));
        let child =
            self.child(mix(self.inner.scope, u64::from(number)), Arc::clone(&self.inner.group));
        child.doom(doomed)
    }

    /// Splits the group: ranks that give the same `color` form a communicator, ordered by `key`
    /// and then by their rank here. `None` takes part and gets none. A collective.
    ///
    /// # Errors
    /// As any collective: [`Error::RankLost`], [`Error::Abandoned`], [`Error::Mismatch`],
    /// [`Error::Timeout`].
    pub fn split(
        &self,
        color: Option<u64>,
        key: i64,
    ) -> Operation<impl Future<Output = Result<Option<Self>, Trouble>> + Send + use<>> {
        type Wish = (Option<u64>, i64, usize);
        let concat = |mut left: Vec<Wish>, right: Vec<Wish>| {
            left.extend(right);
            left
        };
        // A collective of this communicator, so that one that is dropped, or meets another, is
        // told to all.
        let wishes = vec![(color, key, self.rank())];
        let all = self.allreduce(wishes, op::whole(op::associative(concat)));
        let (number, _) = self.take_number(None);
        let parent = self.clone();
        all.then("split", move |all| {
            let Some(color) = color else { return Ok(None) };
            let mut members: Vec<_> = all.into_iter().filter(|(c, ..)| *c == Some(color)).collect();
            members.sort_by_key(|(_, key, rank)| (*key, *rank));
            let group = members.iter().map(|(.., rank)| parent.inner.group[*rank]).collect();
            let scope = mix(parent.inner.scope, u64::from(number));
            Ok(Some(parent.child(mix(scope, color), group)))
        })
    }

    /// Waits until everything that this rank sent, on all its communicators, has arrived; of
    /// the communicator of the whole job, then also leaves the job. Fails with the peer that
    /// does not take what it was sent.
    ///
    /// # Errors
    /// [`Error::RankLost`], [`Error::Timeout`].
    pub fn close(&self) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<>> {
        let flush = self.inner.endpoint.flush();
        let comm = self.clone();
        Operation::new(self, "close", WaitsFor::Nobody, async move {
            let flushed = flush.await;
            if comm.inner.membership.is_some() {
                let Inner { endpoint, node, .. } = &*comm.inner;
                endpoint.shut(&Reason::Left);
                if node.local_ranks().all(|rank| node.endpoint(rank).is_none_or(|e| e.is_shut())) {
                    node.leave().await;
                }
            }
            flushed.map_err(|(rank, reason)| Trouble::Failure(Failure::Lost { rank, reason }))
        })
    }

    /// Waits until a rank of another process is lost, and says which: as
    /// [`Error::RankLost`] would. For who drives a group and may be idle when it breaks.
    pub fn lost(&self) -> impl Future<Output = Error> + Send + use<> {
        let lost = self.inner.node.lost();
        let comm = self.clone();
        async move {
            let (rank, reason) = lost.await;
            Error::RankLost { rank: comm.group_rank(rank), reason }
        }
    }

    /// After a loss ([`Error::RankLost`]): leaves the broken group and enters the job's next
    /// epoch, with the rank and size that the rendezvous gives. Ends when the new group has
    /// formed: at once when all ranks are there again, survivors and newcomers (processes that
    /// join the job meanwhile); else after `deadlines.grace` with those who
    /// are there, if they are at least `min_size`. Survivors keep their order, newcomers take the
    /// vacant numbers, and no number is left out.
    ///
    /// The old communicator, its clones and children are closed by this, on all ranks of this
    /// process. Whoever else calls `rejoin` on a clone gets the same new communicator; in a
    /// process with several ranks each rank calls it on its own. After an error it may be called
    /// again. To drop the future gives nothing up: the next call goes on.
    ///
    /// # Errors
    /// [`Error::Rejoin`] says what to do instead; so does [`Error::Argument`], on a dup or a
    /// split. [`Error::Missing`] when too few came before
    /// `deadlines.join`; [`Error::Closed`] after [`close`](Self::close); [`Error::Rendezvous`].
    pub fn rejoin(&self) -> impl Future<Output = Result<Self>> + Send + use<> {
        let comm = self.clone();
        let membership = self.inner.membership.as_ref();
        let attempt = membership.map(|membership| self.inner.node.rejoin(&membership.job));
        async move {
            let (Some(attempt), Some(Membership { job, next })) = (attempt, &comm.inner.membership)
            else {
                let message = "a dup or a split has no place of its own in the job: call it on \
                               the communicator that join() returned";
                return Err(Error::Argument { operation: "rejoin", message: message.to_owned() });
            };
            let refuse = |reason| Err(Error::Rejoin { job: job.to_string(), reason });
            let successor = attempt.await?;
            let table = comm.table.clone();
            let judged = |new: Self| Self { table, ..new.judged_as(&comm) };
            let mut next = next.lock();
            if let Some(next) = &*next {
                return match next.upgrade() {
                    Some(inner) => {
                        Ok(judged(Self { inner, table: None, judge: None }.with_told_model()))
                    }
                    None => refuse(NoRejoin::Twice),
                };
            }
            let own = comm.inner.endpoint.rank();
            let Some((_, rank)) = successor.ranks.iter().find(|(old, _)| *old == own) else {
                return refuse(NoRejoin::Late);
            };
            let new = Self::world(&successor.node, *rank, job);
            *next = Some(Arc::downgrade(&new.inner));
            Ok(judged(new))
        }
    }

    /// See [`Endpoint::notes_on_board`].
    #[doc(hidden)]
    #[must_use]
    pub fn notes_on_board(&self) -> usize {
        self.endpoint().notes_on_board()
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// Where members of this process publish for each other, as long as there is one.
    pub(crate) fn publications(&self) -> Option<&Arc<Publications>> {
        let Inner { publications, endpoint, scope, group, .. } = &*self.inner;
        publications.get_or_init(|| endpoint.publications(*scope, group)).as_ref()
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.inner.node
    }

    pub(crate) fn scope(&self) -> u64 {
        self.inner.scope
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// How long a peer may be silent.
    pub(crate) fn silence(&self) -> Duration {
        self.inner.node.settings().silent
    }

    pub(crate) fn world_rank(&self, rank: usize) -> u32 {
        self.inner.group[rank]
    }

    /// This group's number of a world rank, or that itself if it is not a member.
    pub(crate) fn group_rank(&self, world: u32) -> usize {
        let group = &self.inner.group;
        // Mostly the world, where they are equal.
        if group.get(world as usize) == Some(&world) {
            return world as usize;
        }
        group.iter().position(|rank| *rank == world).unwrap_or(world as usize)
    }

    pub(crate) fn check_rank(&self, operation: &'static str, rank: usize) -> Result<()> {
        if let Some(failure) = self.inner.doomed.get() {
            return Err(self.error(operation, failure));
        }
        if rank < self.size() {
            return Ok(());
        }
        Err(Error::RankOutOfRange { operation, rank, size: self.size() })
    }

    /// A failure in the terms of this communicator.
    pub(crate) fn error(&self, operation: &'static str, failure: &Failure) -> Error {
        let error = match failure {
            Failure::Lost { rank, reason } => {
                Error::RankLost { rank: self.group_rank(*rank), reason: reason.clone() }
            }
            Failure::Abandoned { rank, reason } => {
                Error::Abandoned { rank: self.group_rank(*rank), operation, reason: reason.clone() }
            }
            Failure::Mismatch { left, right } => {
                let own = self.world_rank(self.rank());
                let (ours, theirs) = if right.0 == own { (right, left) } else { (left, right) };
                Error::Mismatch {
                    rank: self.group_rank(ours.0),
                    ours: describe(&ours.1, &theirs.1),
                    peer: self.group_rank(theirs.0),
                    theirs: describe(&theirs.1, &ours.1),
                }
            }
            Failure::Closed => Error::Closed { operation },
            Failure::TooLarge { bytes } => Error::TooLarge { bytes: *bytes },
            Failure::Store { store, what, reason } => {
                Error::Store { store: store.clone(), what: what.clone(), reason: reason.clone() }
            }
            Failure::Forgotten { store, what } => {
                Error::Lost { store: store.clone(), what: what.clone() }
            }
        };
        if let Some(lineage) = self.lineage() {
            lineage.note(&error, failure);
        }
        error
    }

    /// The call of a protocol that it lives in, if it does.
    pub(crate) fn lineage(&self) -> Option<&Arc<Lineage>> {
        self.inner.lineage.as_ref()
    }

    /// The same group in the scope of a call that has this number here.
    pub(crate) fn inside(&self, number: u32, lineage: Arc<Lineage>) -> Self {
        let scope = mix(self.inner.scope, u64::from(number));
        self.descend(scope, Arc::clone(&self.inner.group), Some(lineage))
    }

    /// Begins a collective.
    pub(crate) fn enter(&self, signature: Signature) -> Collective {
        let mut entered = self.endpoint().enter(self.scope(), Some(signature));
        let publishes = self.inner.together || !self.inner.packs.are_alone();
        if publishes && self.size() > 1 {
            // Where ranks publish and fetch, no frame would tell one from the other.
            entered.compare(signature);
        }
        if let Some(failure) = self.inner.doomed.get() {
            entered.doom(failure.clone());
        }
        entered
    }

    fn doom(self, failure: Option<Failure>) -> Self {
        if let Some(failure) = failure {
            // Just made, so it is the first.
            let _ = self.inner.doomed.set(failure);
        }
        self
    }

    pub(crate) fn judge(&self) -> Option<&Judge> {
        self.judge.as_deref()
    }

    pub(crate) fn judged_by(&self, judge: Judge) -> Self {
        Self { judge: Some(Arc::new(judge)), ..self.clone() }
    }

    /// Whether ranks find what the algorithm publishes without a message that tells them to look.
    pub(crate) fn is_silent(&self, algorithm: &Algorithm) -> bool {
        algorithm.is_shared() && (self.is_together() || algorithm.is_silent(self.size()))
    }

    /// How many members live in this process.
    pub(crate) fn ranks_here(&self) -> usize {
        self.inner.group.iter().filter(|rank| self.inner.node.has(**rank)).count()
    }

    /// World ranks of the members.
    pub(crate) fn group(&self) -> Group {
        Arc::clone(&self.inner.group)
    }

    /// Which members share a process; nobody where that makes no difference.
    pub(crate) fn packs(&self) -> &Packs {
        &self.inner.packs
    }

    /// Whether members wait for cores, too.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner.crowded
    }

    /// What store the members have in common.
    pub(crate) fn shelf(&self) -> Shelf {
        self.inner.shelf
    }

    /// How far those members are apart who are farthest.
    pub(crate) fn tier(&self) -> Tier {
        *self.inner.tier.get_or_init(|| self.find_tier())
    }

    /// The store of the members does not have what it should.
    pub(crate) fn forgotten(&self, what: String) -> Error {
        let store = self.inner.node.store();
        let store = store.map_or("the store", |store| store.name()).to_owned();
        Error::Lost { store, what }
    }

    /// Whether all members live in this process.
    pub(crate) fn is_together(&self) -> bool {
        self.inner.together
    }

    /// With the disagreement that it met, if it did; the others learn it from here.
    fn take_number(&self, signature: Option<Signature>) -> (u32, Option<Failure>) {
        let collective = match signature {
            Some(signature) => self.enter(signature),
            None => self.inner.endpoint.enter(self.inner.scope, None),
        };
        let number = collective.space().number;
        let mismatch = |failure: &&Failure| matches!(failure, Failure::Mismatch { .. });
        let disagreement = collective.failure().filter(mismatch).cloned();
        match &disagreement {
            Some(failure) => collective.fail(failure),
            None => collective.finish(),
        }
        (number, disagreement)
    }

    fn child(&self, scope: u64, group: Group) -> Self {
        self.descend(scope, group, self.inner.lineage.clone())
    }

    fn descend(&self, scope: u64, group: Group, lineage: Option<Arc<Lineage>>) -> Self {
        let Inner { endpoint, node, deadline, .. } = &*self.inner;
        let (endpoint, node) = (endpoint.clone(), Arc::clone(node));
        let same = Arc::ptr_eq(&group, &self.inner.group);
        let child = Self::open(endpoint, node, scope, group, *deadline, None, lineage);
        let judge = match &self.judge {
            Some(judge) if !same => Some(Arc::new(judge.of(&child))),
            judge => judge.clone(),
        };
        Self { table: self.table.clone(), judge, ..child }
    }

    fn open(
        endpoint: Endpoint,
        node: Arc<Node>,
        scope: u64,
        group: Group,
        deadline: Duration,
        membership: Option<Membership>,
        lineage: Option<Arc<Lineage>>,
    ) -> Self {
        endpoint.open(scope, Arc::clone(&group));
        let own = endpoint.rank();
        let rank = group.iter().position(|rank| *rank == own).expect("a member of its own group");
        let together = group.iter().all(|rank| node.has(*rank));
        let crowded = node.roster().is_crowded(&group);
        let shelf = match node.agreed_store() {
            None => Shelf::None,
            Some(Agreed::Beside { wide: false }) => Shelf::Beside,
            Some(Agreed::Beside { wide: true }) => Shelf::Wide,
            Some(Agreed::Alone { pushed: false }) => Shelf::Alone,
            Some(Agreed::Alone { pushed: true }) => Shelf::Pushed,
        };
        let packs = match shelf {
            // All messages go through the store.
            Shelf::Alone | Shelf::Pushed => Packs::ALONE,
            _ if together || !node.roster().is_packed() => Packs::ALONE,
            _ => Packs::of(group.iter().filter_map(|rank| node.roster().host(*rank))),
        };
        let doomed = OnceLock::new();
        let inner = Inner {
            endpoint,
            node,
            scope,
            group,
            rank,
            deadline,
            membership,
            together,
            packs,
            crowded,
            shelf,
            tier: OnceLock::new(),
            publications: OnceLock::new(),
            doomed,
            lineage,
        };
        Self { inner: Arc::new(inner), table: None, judge: None }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.endpoint.close(self.scope);
    }
}

impl fmt::Debug for Communicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Communicator(rank {} of {})", self.rank(), self.size())
    }
}

/// Mixes a number into a hash, for scope ids that all ranks derive alike.
fn mix(hash: u64, value: u64) -> u64 {
    let spread = hash ^ value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    fmi_actors::mix(spread.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::mix;

    #[test]
    fn scopes_do_not_meet() {
        let mut ids: Vec<u64> =
            (0..100).flat_map(|parent| (0..100).map(move |number| mix(parent, number))).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10_000);
    }
}
