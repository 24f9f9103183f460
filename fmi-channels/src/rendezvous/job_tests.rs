//! Tests of one job's epoch.

use proptest::prelude::*;

use super::{super::protocol::Terms, *};

pub(in super::super) fn given(job: &str, size: u32, ranks: &[u32]) -> Registration {
    Registration {
        job: job.to_owned(),
        size: Some(size),
        ranks: Ranks::Given(ranks.to_vec()),
        addresses: vec![("tcp".to_owned(), "10.0.0.1:9".to_owned())],
        machine: "m".to_owned(),
        threads: 1,
        cores: 0,
        after: None,
        terms: Terms::default(),
        fingerprint: None,
        model: String::new(),
    }
}

/// Where all processes of these tests come from.
pub(in super::super) fn seen() -> SocketAddr {
    ([192, 0, 2, 1], 4711).into()
}

/// As newcomers do.
fn come(job: &mut Job, registration: Registration) -> Result<Admitted, Refusal> {
    job.register(registration, seen(), None, Instant::now())
}

pub(in super::super) fn any(job: &str, size: u32, count: u32) -> Registration {
    Registration { ranks: Ranks::Any(count), ..given(job, size, &[]) }
}

pub(in super::super) fn decode(frames: &[Bytes]) -> Vec<Answer> {
    frames.iter().map(|frame| codec::decode(&frame[4..]).unwrap()).collect()
}

fn news(job: &Job, process: u32) -> Vec<Answer> {
    decode(&job.news(process, &mut 0))
}

#[test]
fn last_rank_completes_and_all_get_the_same_bytes() {
    let mut job = Job::new(3);
    assert_eq!(come(&mut job, given("j", 3, &[2, 0])).unwrap().ranks, [2, 0]);
    assert!(job.news(0, &mut 0).is_empty());
    assert_eq!(come(&mut job, any("j", 3, 1)).unwrap().ranks, [1]);
    assert!(job.is_complete());
    let (one, two) = (job.news(0, &mut 0), job.news(1, &mut 0));
    assert_eq!(one[0].as_ptr(), two[0].as_ptr());
    let Answer::Complete { members, .. } = decode(&one).remove(0) else { panic!("not complete") };
    assert_eq!(members.iter().map(|m| &m.ranks[..]).collect::<Vec<_>>(), [&[2, 0][..], &[1]]);
}

#[test]
fn model_of_the_first_that_is_still_there_goes_to_all_once() {
    let mut job = Job::new(4);
    let with = |model: &str| Registration { model: model.to_owned(), ..any("j", 4, 1) };
    for model in ["", "first", "second", "first"] {
        let admitted = come(&mut job, with(model)).unwrap();
        if admitted.process == 1 {
            job.depart(1, Departure::Died);
        }
    }
    // Who is refused says nothing.
    come(&mut job, Registration { size: Some(5), ..with("third") }).unwrap_err();
    come(&mut job, with("")).unwrap();
    let told = news(&job, 0);
    let [Answer::Complete { model, .. }] = &told[..] else { panic!("not complete once") };
    assert_eq!(model, "second");
    // Nothing of it is kept beside the log.
    assert_eq!(job.models.first(|_| true), "");
}

#[test]
fn refusals() {
    let mut job = Job::new(4);
    come(&mut job, given("j", 4, &[1])).unwrap();
    for (registration, refusal) in [
        (given("j", 5, &[0]), Refusal::SizeMismatch { size: 4 }),
        (given("j", 4, &[0, 4]), Refusal::RankOutOfRange { rank: 4, size: 4 }),
        (given("j", 4, &[0, 1]), Refusal::RankTaken { rank: 1 }),
        (given("j", 4, &[2, 3, 2]), Refusal::RankTaken { rank: 2 }),
        (given("j", 4, &[]), Refusal::NoRanks),
        (any("j", 4, 0), Refusal::NoRanks),
        (any("j", 4, 4), Refusal::JobFull { size: 4, free: 3, wanted: 4 }),
        (any("j", 4, u32::MAX), Refusal::JobFull { size: 4, free: 3, wanted: u32::MAX }),
    ] {
        assert_eq!(come(&mut job, registration), Err(refusal));
    }
    // None of them left a trace.
    assert_eq!(job.missing(), Missing { ranks: vec![0, 2, 3], joined: 1, size: 4 });
}

#[test]
fn before_completion_ranks_become_free_with_the_next_incarnation() {
    let mut job = Job::new(3);
    let first = come(&mut job, given("j", 3, &[0, 1])).unwrap();
    assert_eq!(first.incarnation, 0);
    assert!(!job.depart(first.process, Departure::Died).news);
    let second = come(&mut job, given("j", 3, &[1])).unwrap();
    assert_eq!((second.process, second.incarnation), (1, 1));
    assert!(!job.depart(second.process, Departure::Left).news);
    // Rank 1 was there twice, rank 2 never: the process goes by the highest.
    assert_eq!(come(&mut job, given("j", 3, &[2, 1])).unwrap().incarnation, 2);
    assert!(!job.is_complete());
    assert_eq!(come(&mut job, any("j", 3, 1)).unwrap().ranks, [0]);
    assert!(job.is_complete());
    assert_eq!(news(&job, 3).len(), 1);
}

#[test]
fn after_completion_ranks_stay_taken_and_the_others_hear_of_it() {
    let mut job = Job::new(3);
    for rank in 0..3 {
        come(&mut job, given("j", 3, &[rank])).unwrap();
    }
    assert!(job.depart(0, Departure::Died).news);
    assert!(job.depart(1, Departure::Left).news);
    assert!(!job.depart(1, Departure::Died).news);
    assert_eq!(news(&job, 2)[1..], [Answer::Gone { process: 0 }, Answer::Left { process: 1 }]);
    assert_eq!(come(&mut job, given("j", 3, &[0])).unwrap_err(), Refusal::RankTaken { rank: 0 });
    assert!(matches!(come(&mut job, any("j", 3, 1)), Err(Refusal::JobFull { free: 0, .. })));
    assert_eq!(job.population(), 1);
}

#[test]
fn first_abort_alone_reaches_the_others_and_who_comes_later() {
    let mut job = Job::new(3);
    come(&mut job, given("j", 3, &[0])).unwrap();
    come(&mut job, given("j", 3, &[1])).unwrap();
    let first = Cause::Panicked("first".to_owned());
    assert!(!job.abort(1, 3, Cause::Died), "rank 3 does not exist");
    assert!(!job.abort(7, 1, Cause::Died), "process 7 does not exist");
    assert!(job.abort(1, 1, first.clone()));
    assert!(!job.abort(0, 0, Cause::Failed("second".to_owned())));
    come(&mut job, given("j", 3, &[2])).unwrap();
    let abort = Answer::Abort { rank: 1, reason: first };
    assert_eq!(news(&job, 0)[0], abort);
    assert_eq!(news(&job, 2)[0], abort);
    assert!(matches!(news(&job, 1)[..], [Answer::Complete { .. }]));
}

#[test]
fn missing_names_sixteen_of_many() {
    let mut job = Job::new(10_000);
    come(&mut job, any("j", 10_000, 5)).unwrap();
    let missing = job.missing();
    assert_eq!(missing.ranks, (5..21).collect::<Vec<_>>());
    assert_eq!((missing.joined, missing.size), (5, 10_000));
}

#[test]
fn list_that_fits_no_frame_is_refused_before_it_is_too_long() {
    let mut job = Job::new(100_000);
    let mut registration = any("j", 100_000, 1);
    registration.addresses = vec![("tcp".to_owned(), "a".repeat(1000)); 64];
    let refusal = loop {
        if let Err(refusal) = come(&mut job, registration.clone()) {
            break refusal;
        }
    };
    assert_eq!(refusal, Refusal::Limit { what: Limit::List, limit: MAX_LIST as u64 });
    // Room is given back.
    job.depart(3, Departure::Died);
    come(&mut job, registration).unwrap();
}

proptest! {
    #[test]
    fn ranks_are_never_held_twice_and_always_accounted_for(
        steps in proptest::collection::vec((0..5u8, 0..12u32, 1..4u32), 1..60),
    ) {
        let size = 8;
        let mut job = Job::new(size);
        let mut held: Vec<(u32, Vec<u32>)> = Vec::new();
        for (kind, number, count) in steps {
            let registration = match kind {
                0 | 1 => given("j", size, &(number..number + count).collect::<Vec<_>>()),
                2 => any("j", size, count),
                _ => {
                    if !held.is_empty() && !job.is_complete() {
                        let (process, _) = held.remove(number as usize % held.len());
                        job.depart(process, Departure::Died);
                    }
                    continue;
                }
            };
            if let Ok(admitted) = come(&mut job, registration) {
                held.push((admitted.process, admitted.ranks));
            }
            let mut ranks = held.iter().flat_map(|(_, r)| r.clone()).collect::<Vec<_>>();
            let total = ranks.len();
            ranks.sort_unstable();
            ranks.dedup();
            prop_assert_eq!(ranks.len(), total);
            let missing = job.missing();
            prop_assert_eq!(missing.joined as usize, total);
            prop_assert!(missing.ranks.iter().all(|rank| !ranks.contains(rank)));
            prop_assert_eq!(missing.ranks.len() + total, size as usize);
            prop_assert_eq!(job.is_complete(), total == size as usize);
        }
    }
}
