//! What every directory does, whatever place it is made of.

use crate::ground::Ground;
use fmi_actors::{Error, Reason, Result};
use fmi_channels::{
    directory::{Directory, Formed, Membership, Register, Shared},
    rendezvous::{After, Event, MAX_MODEL, Ranks, Registration, Terms},
};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

/// For what has to happen.
const SOON: Duration = Duration::from_secs(40);

pub(crate) fn registration(job: &str, size: u32, ranks: Ranks) -> Registration {
    Registration {
        job: job.to_owned(),
        size: Some(size),
        ranks,
        addresses: vec![("tcp".to_owned(), "127.0.0.1:1".to_owned())],
        machine: "here".to_owned(),
        threads: 1,
        cores: 0,
        after: None,
        terms: Terms::default(),
        fingerprint: None,
        model: String::new(),
    }
}

pub(crate) async fn register(
    directory: &Shared,
    registration: Registration,
) -> Result<Arc<dyn Membership>> {
    let register: Register<'_> = Box::new(move |_| registration.clone());
    directory.register(register, SOON).await
}

pub(crate) async fn join(
    directory: &Shared,
    registration: Registration,
    deadline: Duration,
) -> Result<(Arc<dyn Membership>, Formed)> {
    let register: Register<'_> = Box::new(move |_| registration.clone());
    let place = directory.register(register, deadline).await?;
    let formed = place.complete().await?;
    Ok((place, formed))
}

pub(crate) async fn job(
    directory: &Shared,
    name: &str,
    size: u32,
) -> Vec<(Arc<dyn Membership>, Formed)> {
    let joins = (0..size)
        .map(|rank| join(directory, registration(name, size, Ranks::Given(vec![rank])), SOON));
    join_all(joins).await.into_iter().collect::<Result<_>>().unwrap()
}

pub(crate) async fn next(place: &Arc<dyn Membership>) -> Event {
    tokio::time::timeout(SOON, place.event()).await.expect("nothing happens").expect("the end")
}

pub(crate) async fn leave(places: &[(Arc<dyn Membership>, Formed)]) {
    join_all(places.iter().map(|(place, _)| place.leave())).await;
}

/// Of any size up to sixteen, again and again: one group, one epoch each, and nothing is left.
pub(crate) async fn all_find_each_other_and_leave_nothing(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let mut epochs = Vec::new();
    for size in [1, 2, 5, 16] {
        let places = job(&directory, "a job/{1}", size).await;
        let (_, first) = &places[0];
        assert!(places.iter().all(|(_, formed)| formed.members == first.members));
        assert!(places.iter().all(|(_, formed)| formed.epoch == first.epoch));
        for (rank, (_, formed)) in places.iter().enumerate() {
            let own = formed.members.iter().find(|member| member.process == formed.process);
            assert_eq!(own.unwrap().ranks, [rank as u32]);
        }
        epochs.push(first.epoch);
        leave(&places).await;
        assert_eq!(ground.left().await, Vec::<String>::new());
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 4);
}

/// Each leaves as soon as it is done, and comes again at once.
pub(crate) async fn runs_follow_each_other(ground: &impl Ground, runs: usize) {
    let directory = ground.directory("secret");
    let life = async || {
        for _ in 0..runs {
            let any = registration("job", 3, Ranks::Any(1));
            let (place, formed) = join(&directory, any, SOON).await.unwrap();
            assert_eq!(formed.members.len(), 3);
            place.leave().await;
        }
    };
    join_all([life(), life(), life()]).await;
    assert_eq!(ground.left().await, Vec::<String>::new());
}

pub(crate) async fn ranks_are_numbered_and_jobs_kept_apart(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let any = |job| join(&directory, registration(job, 3, Ranks::Any(1)), SOON);
    let all = join_all([any("one"), any("two"), any("one"), any("two"), any("one"), any("two")]);
    let all: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
    assert_ne!(all[0].1.epoch, all[1].1.epoch);
    for (_, formed) in &all {
        let mut ranks: Vec<_> = formed.members.iter().flat_map(|m| m.ranks.clone()).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2]);
    }
    leave(&all).await;
    assert_eq!(ground.left().await, Vec::<String>::new());
}

/// That of the lowest process that has one, whatever its ranks.
pub(crate) async fn all_take_the_model_of_the_first_who_has_one(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let with = |rank, model: &str| Registration {
        model: model.to_owned(),
        ..registration("job", 4, Ranks::Given(vec![rank]))
    };
    // Its entry is gone before all are there, and one that does not fit counts for nothing.
    let left = register(&directory, with(0, "left")).await.unwrap();
    let none = register(&directory, with(3, "")).await.unwrap();
    let misfit = register(&directory, with(3, "misfit")).await.unwrap();
    let first = register(&directory, with(2, "first")).await.unwrap();
    let second = register(&directory, with(1, "second")).await.unwrap();
    left.leave().await;
    let long = with(0, &"x".repeat(MAX_MODEL + 1));
    let long = register(&directory, long).await.unwrap_err().to_string();
    assert!(long.contains("65537 bytes, at most 65536 are allowed: shorten"), "{long}");
    let last = register(&directory, with(0, &"y".repeat(MAX_MODEL))).await.unwrap();
    let places = [none, first, second, last];
    for formed in join_all(places.iter().map(|place| place.complete())).await {
        assert_eq!(&*formed.unwrap().model, "first");
    }
    misfit.complete().await.unwrap_err();
    join_all(places.iter().map(|place| place.leave())).await;
    // The longest that is allowed; and without any there is none.
    for model in ["m".repeat(MAX_MODEL), String::new()] {
        let alone = Registration { size: Some(1), ..with(0, &model) };
        let (place, formed) = join(&directory, alone, SOON).await.unwrap();
        assert_eq!(*formed.model, *model);
        place.leave().await;
    }
    assert_eq!(ground.left().await, Vec::<String>::new());
}

pub(crate) async fn deaths_departures_and_failures_are_told(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let mut places = job(&directory, "job", 4).await;
    let (leaver, left) = places.pop().unwrap();
    leaver.leave().await;
    let (dead, died) = places.pop().unwrap();
    drop(dead);
    places[1].0.abort(1, Reason::Failed("bad luck".to_owned()));
    places[1].0.abort(1, Reason::Failed("worse luck".to_owned()));
    for (place, _) in &places {
        let mut events = [next(place).await, next(place).await, next(place).await];
        events.sort_by_key(|event| format!("{event:?}"));
        match &events[0] {
            Event::Abort { rank: 1, reason } => assert!(reason.to_string().contains("bad luck")),
            other => panic!("{other:?}"),
        }
        let gone = Event::Gone { process: died.process, ranks: vec![2], reason: Reason::Died };
        let left = Event::Left { process: left.process, ranks: vec![3] };
        assert_eq!(events[1..], [gone, left]);
    }
    // What the dead has left is in nobody's way.
    leave(&places).await;
    let places = job(&directory, "job", 2).await;
    leave(&places).await;
    assert_eq!(ground.left().await, Vec::<String>::new());
}

pub(crate) async fn a_run_waits_until_the_one_before_is_dead(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let old = job(&directory, "job", 2).await;
    let again = join(&directory, registration("job", 2, Ranks::Any(1)), Duration::ZERO).await;
    assert!(again.unwrap_err().to_string().contains("give each run its own FMI_JOB"));
    drop(old);
    let new = job(&directory, "job", 2).await;
    leave(&new).await;
    assert_eq!(ground.left().await, Vec::<String>::new());
}

/// Who crashed before all were there takes no place once it has been silent for long enough.
pub(crate) async fn who_died_while_it_waited_is_replaced(ground: &impl Ground) {
    let directory = ground.directory("secret");
    drop(register(&directory, registration("job", 2, Ranks::Given(vec![0]))).await.unwrap());
    tokio::time::sleep(ground.silent() + ground.tick() * 2).await;
    let places = job(&directory, "job", 2).await;
    assert_eq!(places[0].1.members.len(), 2);
    assert_eq!(places[0].1.members, places[1].1.members);
    leave(&places).await;
    assert_eq!(ground.left().await, Vec::<String>::new());
}

pub(crate) async fn who_does_not_fit_is_told_so(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let first = register(&directory, registration("job", 2, Ranks::Given(vec![0]))).await.unwrap();
    let refused = |size, ranks| {
        let directory = &directory;
        async move { join(directory, registration("job", size, ranks), SOON).await.unwrap_err() }
    };
    let job = "job".to_owned();
    let taken = refused(2, Ranks::Given(vec![0])).await;
    assert_eq!(taken, Error::RankTaken { rank: 0, job: job.clone() });
    let size = refused(3, Ranks::Given(vec![1])).await;
    assert_eq!(size, Error::SizeMismatch { job: job.clone(), ours: 3, theirs: 2 });
    assert!(refused(2, Ranks::Any(2)).await.to_string().contains("is full"));
    first.leave().await;
    let after = Duration::from_millis(400);
    let alone = registration("job", 2, Ranks::Given(vec![1]));
    let missing = join(&directory, alone, after).await.unwrap_err();
    assert_eq!(missing, Error::Missing { job, missing: vec![0], size: 2, after });
    assert_eq!(ground.left().await, Vec::<String>::new());
}

pub(crate) async fn another_token_is_noticed(ground: &impl Ground) {
    let (ours, theirs) = (ground.directory("secret"), ground.directory("another"));
    let after = ground.silent() * 4;
    let (one, two) = tokio::join!(
        join(&ours, registration("job", 2, Ranks::Given(vec![0])), after),
        join(&theirs, registration("job", 2, Ranks::Given(vec![1])), after),
    );
    // Who notices first leaves, so the other may find nobody.
    let wrong = |result: Result<_>| matches!(result, Err(Error::WrongToken { .. }));
    let results = [one.map(drop), two.map(drop)];
    assert!(results.iter().all(Result::is_err));
    assert!(results.into_iter().any(wrong));
}

pub(crate) async fn a_rejoin_is_refused_clearly(ground: &impl Ground) {
    let mut again = registration("job", 1, Ranks::Any(1));
    again.after = Some(After::new(1, 0, None));
    let wrong = join(&ground.directory("secret"), again, SOON).await.unwrap_err();
    assert!(wrong.to_string().contains("at an `fmi rendezvous` alone"), "{wrong}");
}

/// What is none of ours, or altered, or in the wrong place, is nobody's, and goes with the run.
pub(crate) async fn foreign_contents_are_nobodys(ground: &impl Ground) {
    let directory = ground.directory("secret");
    let place = register(&directory, registration("job", 2, Ranks::Given(vec![0]))).await.unwrap();
    let left = ground.left().await;
    let [entry] = &left[..] else { panic!("{left:?}") };
    let whole = ground.read(entry).await;
    let run = entry.rsplit_once('/').unwrap().0;
    for (what, content) in [
        ("1.entry", &whole[..whole.len() / 2]),
        ("2.entry", b"hello"),
        // Ours, but in the wrong place.
        ("3.entry", &whole[..]),
        ("007.entry", &whole[..]),
        ("99999999999.entry", b""),
        ("abort", b"FMId"),
        ("notes", b"x"),
    ] {
        ground.write(&format!("{run}/{what}"), content).await;
    }
    let second = registration("job", 2, Ranks::Given(vec![1]));
    let (one, two) = tokio::join!(place.complete(), join(&directory, second, SOON));
    let (one, (second, two)) = (one.unwrap(), two.unwrap());
    assert_eq!(one.members, two.members);
    tokio::join!(place.leave(), second.leave());
    assert_eq!(ground.left().await, Vec::<String>::new());
}

pub(crate) async fn a_place_that_is_emptied_is_told(ground: &impl Ground) {
    let places = job(&ground.directory("secret"), "job", 2).await;
    ground.empty().await;
    for (place, _) in &places {
        // It is not emptied in one go: who looks meanwhile may miss another one's entry first.
        let mut told = next(place).await;
        while matches!(told, Event::Left { .. }) {
            told = next(place).await;
        }
        assert_eq!(told, Event::RendezvousLost);
    }
    leave(&places).await;
    assert_eq!(ground.left().await, Vec::<String>::new());
}
