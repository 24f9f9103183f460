//! A folder with several processes of this one.

use super::*;
use crate::rendezvous::{Registration, Terms};
use futures::future::join_all;
use std::fs;

const SILENT: Duration = Duration::from_millis(400);
const SOON: Duration = Duration::from_secs(20);

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("fmi-folder-{:x}", disk::random().unwrap()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn folder(&self, token: &str) -> Folder {
        Folder { path: self.0.clone(), token: Token::new(token), silent: SILENT }
    }

    /// The folder of the only run that there is.
    fn run(&self) -> PathBuf {
        let only = |path: &Path| fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
        only(&only(&self.0))
    }

    /// Nothing is left but the number of the next run.
    fn is_empty(&self) -> bool {
        let files = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        files(&self.0).all(|home| files(&home).all(|run| files(&run).next().is_none()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn registration(job: &str, size: u32, ranks: Ranks) -> Registration {
    Registration {
        job: job.to_owned(),
        size: Some(size),
        ranks,
        addresses: vec![("tcp".to_owned(), "127.0.0.1:1".to_owned())],
        machine: "here".to_owned(),
        threads: 1,
        after: None,
        terms: Terms::default(),
        fingerprint: None,
    }
}

async fn join(
    folder: &Folder,
    registration: Registration,
    deadline: Duration,
) -> Result<(Arc<dyn Membership>, Formed)> {
    let place = folder.register(Box::new(move |_| registration.clone()), deadline).await?;
    let formed = place.complete().await?;
    Ok((place, formed))
}

async fn job(folder: &Folder, name: &str, size: u32) -> Vec<(Arc<dyn Membership>, Formed)> {
    let joins = (0..size)
        .map(|rank| join(folder, registration(name, size, Ranks::Given(vec![rank])), SOON));
    join_all(joins).await.into_iter().collect::<Result<_>>().unwrap()
}

async fn next(place: &Arc<dyn Membership>) -> Event {
    tokio::time::timeout(SOON, place.event()).await.expect("nothing happens").expect("the end")
}

#[tokio::test]
async fn all_find_each_other_and_leave_nothing() {
    let scratch = Scratch::new();
    let folder = scratch.folder("secret");
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let places = job(&folder, "job", 5).await;
        let (_, first) = &places[0];
        assert!(places.iter().all(|(_, formed)| formed.members == first.members));
        assert!(places.iter().all(|(_, formed)| formed.epoch == first.epoch));
        for (rank, (_, formed)) in places.iter().enumerate() {
            let own = formed.members.iter().find(|member| member.process == formed.process);
            assert_eq!(own.unwrap().ranks, [rank as u32]);
        }
        epochs.push(first.epoch);
        join_all(places.iter().map(|(place, _)| place.leave())).await;
        assert!(scratch.is_empty());
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 3);
}

#[tokio::test]
async fn ranks_are_numbered_where_none_are_given_and_jobs_are_kept_apart() {
    let scratch = Scratch::new();
    let folder = scratch.folder("secret");
    let any = |job| join(&folder, registration(job, 3, Ranks::Any(1)), SOON);
    let all = join_all([any("one"), any("two"), any("one"), any("two"), any("one"), any("two")]);
    let all: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
    assert_ne!(all[0].1.epoch, all[1].1.epoch);
    for (_, formed) in &all {
        let mut ranks: Vec<_> = formed.members.iter().flat_map(|m| m.ranks.clone()).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2]);
    }
}

#[tokio::test]
async fn deaths_departures_and_failures_are_told() {
    let scratch = Scratch::new();
    let folder = scratch.folder("secret");
    let mut places = job(&folder, "job", 4).await;
    let (leaver, left) = places.pop().unwrap();
    leaver.leave().await;
    let (dead, died) = places.pop().unwrap();
    drop(dead);
    places[1].0.abort(1, Reason::Failed("bad luck".to_owned()));
    places[1].0.abort(1, Reason::Failed("worse luck".to_owned()));
    for (place, _) in &places {
        let mut events = [next(place).await, next(place).await, next(place).await];
        events.sort_by_key(|event| format!("{event:?}"));
        let right = [
            Event::Abort { rank: 1, reason: Reason::Failed("bad luck".to_owned()) },
            Event::Gone { process: died.process, ranks: vec![2], reason: Reason::Died },
            Event::Left { process: left.process, ranks: vec![3] },
        ];
        match &events[0] {
            Event::Abort { rank: 1, reason } => assert!(reason.to_string().contains("bad luck")),
            other => panic!("{other:?}"),
        }
        assert_eq!(events[1..], right[1..]);
    }
    // What the dead has left is in nobody's way.
    join_all(places.iter().map(|(place, _)| place.leave())).await;
    let places = job(&folder, "job", 2).await;
    join_all(places.iter().map(|(place, _)| place.leave())).await;
    assert!(scratch.is_empty());
}

#[tokio::test]
async fn a_run_waits_until_the_one_before_is_dead() {
    let scratch = Scratch::new();
    let folder = scratch.folder("secret");
    let old = job(&folder, "job", 2).await;
    let again = join(&folder, registration("job", 2, Ranks::Any(1)), SILENT).await;
    assert!(again.unwrap_err().to_string().contains("give each run its own FMI_JOB"));
    drop(old);
    let new = job(&folder, "job", 2).await;
    join_all(new.iter().map(|(place, _)| place.leave())).await;
    assert!(scratch.is_empty());
}

#[tokio::test]
async fn who_does_not_fit_is_told_so() {
    let scratch = Scratch::new();
    let folder = scratch.folder("secret");
    let first = registration("job", 2, Ranks::Given(vec![0]));
    let register: Register<'_> = Box::new(move |_| first.clone());
    let _first = folder.register(register, SOON).await.unwrap();
    let join = |size, ranks, deadline| join(&folder, registration("job", size, ranks), deadline);
    let refused = |size, ranks| async move { join(size, ranks, SOON).await.unwrap_err() };
    let job = "job".to_owned();
    let taken = refused(2, Ranks::Given(vec![0])).await;
    assert_eq!(taken, Error::RankTaken { rank: 0, job: job.clone() });
    let size = refused(3, Ranks::Given(vec![1])).await;
    assert_eq!(size, Error::SizeMismatch { job: job.clone(), ours: 3, theirs: 2 });
    assert!(refused(2, Ranks::Any(2)).await.to_string().contains("is full"));
    let other = Scratch::new();
    let after = SILENT;
    let alone = registration("job", 2, Ranks::Given(vec![1]));
    let missing = super::tests::join(&other.folder("secret"), alone, after).await.unwrap_err();
    assert_eq!(missing, Error::Missing { job, missing: vec![0], size: 2, after });
    assert!(other.is_empty());
    let nowhere = Folder { path: other.0.join("nowhere"), ..other.folder("secret") };
    let wrong = super::tests::join(&nowhere, registration("job", 2, Ranks::Any(1)), SOON).await;
    assert!(wrong.unwrap_err().to_string().contains("there is no such folder"));
}

#[tokio::test]
async fn another_token_is_noticed_on_both_sides() {
    let scratch = Scratch::new();
    let (ours, theirs) = (scratch.folder("secret"), scratch.folder("another"));
    let after = Duration::from_secs(3);
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

#[tokio::test]
async fn foreign_and_half_written_files_are_nobodys() {
    let scratch = Scratch::new();
    let folder = scratch.folder("secret");
    fs::write(scratch.0.join("notes.txt"), "not ours").unwrap();
    let first = registration("job", 2, Ranks::Given(vec![0]));
    let register: Register<'_> = Box::new(move |_| first.clone());
    let place = folder.register(register, SOON).await.unwrap();
    let home = fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().path());
    let home = home.into_iter().find(|path| path.is_dir()).unwrap();
    let run = home.join("1");
    let whole = fs::read(run.join("0.entry")).unwrap();
    fs::write(run.join("1.entry"), &whole[..whole.len() / 2]).unwrap();
    fs::write(run.join("2.entry"), "hello").unwrap();
    // Ours, but in the wrong place.
    fs::write(run.join("3.entry"), &whole).unwrap();
    fs::write(run.join("99999999999.entry"), "").unwrap();
    fs::create_dir(run.join("4.entry")).unwrap();
    fs::write(run.join("abort"), "FMId").unwrap();
    fs::write(home.join("more"), "").unwrap();
    let second = registration("job", 2, Ranks::Given(vec![1]));
    let (one, two) = tokio::join!(place.complete(), join(&folder, second, SOON));
    assert_eq!(one.unwrap().members, two.unwrap().1.members);
}

#[tokio::test]
async fn leftovers_of_dead_jobs_are_swept_away() {
    let scratch = Scratch::new();
    let old = scratch.0.join("fmi-0123/1");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("0.entry"), "").unwrap();
    let (theirs, kept) = (scratch.0.join("data"), scratch.0.join("fmi-0123"));
    fs::write(&theirs, "").unwrap();
    let now = disk::now(&scratch.0).unwrap();
    disk::sweep(&scratch.0, now + Duration::from_secs(3500)).unwrap();
    assert!(kept.exists());
    disk::sweep(&scratch.0, now + Duration::from_secs(3700)).unwrap();
    assert!(!kept.exists() && theirs.exists());
}

#[tokio::test]
async fn a_rejoin_is_refused_clearly() {
    let scratch = Scratch::new();
    let mut again = registration("job", 1, Ranks::Any(1));
    again.after = Some(crate::rendezvous::After::new(1, 0, None));
    let wrong = join(&scratch.folder("secret"), again, SOON).await.unwrap_err();
    assert!(wrong.to_string().contains("forms no group anew"), "{wrong}");
}

#[tokio::test]
async fn a_folder_that_is_taken_away_is_told() {
    let scratch = Scratch::new();
    let places = job(&scratch.folder("secret"), "job", 2).await;
    fs::remove_dir_all(scratch.run()).unwrap();
    assert_eq!(next(&places[0].0).await, Event::RendezvousLost);
}
