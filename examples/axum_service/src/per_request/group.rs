//! A communicator for one request: formed of the replicas that are there, and dissolved.

use super::{
    peers::{self, Failure, Invitation, Peer},
    settings::Settings,
    work::{self, Answer, Data, Question},
};
use fmi::{Communicator, Config, Error, RendezvousServer, config::Token};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// A request that takes longer has failed, wherever it is.
const REQUEST: Duration = Duration::from_secs(10);
/// All that were invited have joined by then.
const JOINING: Duration = Duration::from_secs(2);
/// All have left by then.
const LEAVING: Duration = Duration::from_secs(1);
/// How often a group is tried to be formed: whoever was ready may not be so any more.
const ATTEMPTS: usize = 3;

/// One replica of the service.
#[derive(Debug)]
pub struct Replica {
    /// The name of this run of this replica.
    id: String,
    settings: Settings,
    token: Token,
    /// Of all groups that it leads, so that nothing else has to be started.
    rendezvous: RendezvousServer,
    /// One for each group that it can be in.
    places: Semaphore,
    /// Groups that it has led.
    groups: AtomicUsize,
    /// Each group that has formed and is not over holds one.
    at_work: Arc<()>,
    data: Data,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// All places are taken.
    #[error("this replica is in {groups} groups, and no more is allowed (GROUPS)")]
    Full {
        /// How many are allowed.
        groups: usize,
    },
    /// Fewer replicas are ready than a group needs.
    #[error("{ready} replicas are ready, and a group needs {needed} (RANKS)")]
    TooFew {
        /// This one included.
        ready: usize,
        /// The least number.
        needed: usize,
    },
    /// Who was ready did not come.
    #[error("no group has formed: {0}")]
    NotFormed(String),
    /// It took too long.
    #[error("there is no answer after {} s", REQUEST.as_secs())]
    Late,
    /// The group broke, or its work failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A group that this replica leads.
struct Group {
    comm: Communicator,
    _at_work: Arc<()>,
    /// The parts of the others: each ends when that replica has left.
    others: FuturesUnordered<BoxFuture<'static, Result<(), Failure>>>,
}

impl Replica {
    /// Begins to serve the rendezvous of its groups.
    ///
    /// # Errors
    /// What is wrong with the settings, as text.
    pub async fn start(settings: Settings) -> Result<Arc<Self>, String> {
        let token = settings.fmi.token.clone().ok_or("set FMI_TOKEN")?;
        let rendezvous = RendezvousServer::bind(&settings.rendezvous, token.clone())
            .await
            .map_err(|error| error.to_string())?;
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| error.to_string())?;
        Ok(Arc::new(Self {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            token,
            rendezvous,
            places: Semaphore::new(settings.groups),
            groups: AtomicUsize::new(0),
            at_work: Arc::default(),
            data: Data::load(),
            settings,
        }))
    }

    /// Answers a client's question with a group of its own, as that group's rank 0.
    ///
    /// # Errors
    /// Why there is no answer. Then, and when this is dropped, the group is gone.
    pub async fn lead(&self, question: Question) -> Result<Answer, Refusal> {
        let _place = self.place()?;
        let answered = async { self.form().await?.run(question, &self.data).await };
        timeout(REQUEST, answered).await.unwrap_or(Err(Refusal::Late))
    }

    /// Takes part in the group of another replica, until that is over.
    ///
    /// # Errors
    /// Why it did not, or why the group broke.
    pub(super) async fn follow(&self, invitation: Invitation) -> Result<(), Refusal> {
        let _place = self.place()?;
        let Invitation { job, rank, size, rendezvous } = invitation;
        let part = async {
            let config = self.config().job(job).size(size).rank(rank).rendezvous(&rendezvous)?;
            let comm = config.join().await?;
            let _at_work = Arc::clone(&self.at_work);
            let answer = work::answer(None, &self.data, &comm).await;
            comm.close().deadline(LEAVING).await?;
            answer.map(drop)
        };
        timeout(REQUEST, part).await.map_err(|_| Refusal::Late)?.map_err(Refusal::from)
    }

    /// Whether it can be in one more group.
    pub(super) fn room(&self) -> Result<(), Refusal> {
        match self.places.available_permits() {
            0 => Err(Refusal::Full { groups: self.settings.groups }),
            _ => Ok(()),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// In how many groups it is, those included that have not formed yet.
    pub(super) fn groups(&self) -> usize {
        self.settings.groups - self.places.available_permits()
    }

    /// How many of them have formed.
    pub(super) fn at_work(&self) -> usize {
        Arc::strong_count(&self.at_work) - 1
    }

    /// How many processes are at its rendezvous.
    pub(super) fn processes(&self) -> usize {
        self.rendezvous.processes()
    }

    /// Nobody waits for one: replicas that wait for each other's would wait for ever.
    fn place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let groups = self.settings.groups;
        self.places.try_acquire().map_err(|_| Refusal::Full { groups })
    }

    /// What all groups have in common.
    fn config(&self) -> Config {
        let mut config = self.settings.fmi.clone();
        config.rendezvous = None;
        config.join_deadline(JOINING).operation_deadline(REQUEST)
    }

    /// A group of all that are ready, or of as many as one may have. Who is not ready does not keep the
    /// others from answering.
    async fn form(&self) -> Result<Group, Refusal> {
        let ranks = &self.settings.ranks;
        let mut attempts = 1;
        loop {
            let mut peers = peers::ready(&self.settings.peers, &self.token, &self.id).await;
            peers.truncate(ranks.end() - 1);
            let size = peers.len() + 1;
            if size < *ranks.start() {
                return Err(Refusal::TooFew { ready: size, needed: *ranks.start() });
            }
            match self.invite(peers).await {
                Err(refusal @ Refusal::NotFormed(_)) if attempts < ATTEMPTS => {
                    tracing::warn!("{refusal}; trying again");
                    attempts += 1;
                }
                formed => return formed,
            }
        }
    }

    async fn invite(&self, peers: Vec<Peer>) -> Result<Group, Refusal> {
        let number = self.groups.fetch_add(1, Ordering::Relaxed);
        // A name of its own, also after a restart of this replica.
        let job = format!("request-{}-{number}", self.id);
        let size = peers.len() + 1;
        let port = self.rendezvous.local_addr().port();
        let rendezvous =
            |peer: &Peer| format!("tcp://{}", SocketAddr::new(peer.own_address(), port));
        let mut config = self.config().job(&job).size(size).rank(0);
        if let Some(peer) = peers.first() {
            // By an address that others can reach, so that this is what they learn of rank 0.
            config = config.rendezvous(&rendezvous(peer))?;
        }
        let invitations = peers.into_iter().zip(1..).map(|(peer, rank)| {
            let rendezvous = rendezvous(&peer);
            let invitation = Invitation { job: job.clone(), rank, size, rendezvous };
            Box::pin(peer.invite(self.token.clone(), invitation)) as BoxFuture<'static, _>
        });
        let mut others: FuturesUnordered<_> = invitations.collect();
        tokio::select! {
            joined = config.join() => match joined {
                Ok(comm) => Ok(Group { comm, others, _at_work: Arc::clone(&self.at_work) }),
                Err(error) => Err(Refusal::NotFormed(error.to_string())),
            },
            // None of them is done before all have joined.
            Some(Err(failure)) = others.next() => Err(Refusal::NotFormed(failure.to_string())),
        }
    }
}

impl Group {
    /// When it returns, all have left, or are gone.
    async fn run(self, question: Question, data: &Data) -> Result<Answer, Refusal> {
        let Self { comm, others, _at_work } = self;
        let answer = work::answer(Some(question), data, &comm).await;
        // What went wrong there has come to this rank by itself.
        let left = timeout(LEAVING, others.collect::<Vec<_>>());
        let (closed, left) = tokio::join!(comm.close().deadline(LEAVING), left);
        if let (Ok(_), Err(error)) = (&answer, closed) {
            tracing::warn!("answered, but the group did not end in good order: {error}");
        }
        if left.is_err() {
            tracing::warn!("a replica is still busy with a group that is over");
        }
        Ok(answer?)
    }
}
