//! Over a bucket.

use crate::{
    ground::{Ground, suite},
    suite::{job, join, leave, registration},
};
use fmi_channels::{directory::Shared, handshake::Token, rendezvous::Ranks};
use futures::FutureExt;
use hyper::Method;
use std::{fs, path::Path, time::Duration};
use test_servers::s3::{Fault, KEY, Own, SECRET};

struct Bucket {
    server: Own,
    url: String,
}

/// A server for each test, with its credentials in the environment: nextest runs each test in a
/// process of its own, and none here takes others.
fn bucket() -> Option<Bucket> {
    // SAFETY: all tests of this program set the same, before anything reads it.
    unsafe {
        std::env::set_var("AWS_ACCESS_KEY_ID", KEY);
        std::env::set_var("AWS_SECRET_ACCESS_KEY", SECRET);
    }
    let server = Own::start();
    let url = server.url("jobs");
    Some(Bucket { server, url })
}

impl Ground for Bucket {
    fn directory(&self, token: &str) -> Shared {
        Shared::s3(&self.url, Token::new(token), self.silent())
    }

    /// Times there are of whole seconds.
    fn silent(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(1100)
    }

    async fn left(&self) -> Vec<String> {
        let all = self.server.keys("jobs").into_iter();
        // Written for a moment to learn what time it is, or what the server can do.
        let passing = |path: &String| {
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("now-") || name.starts_with("try-")
        };
        all.filter(|path| !passing(path)).collect()
    }

    async fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.server.file(name)).unwrap()
    }

    async fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.server.file(name), content).unwrap();
    }

    async fn empty(&self) {
        let _ = fs::remove_dir_all(self.server.file("jobs"));
    }
}

suite!(
    bucket(),
    all_find_each_other_and_leave_nothing,
    runs_follow_each_other(3),
    ranks_are_numbered_and_jobs_kept_apart,
    all_take_the_model_of_the_first_who_has_one,
    deaths_departures_and_failures_are_told,
    who_does_not_fit_is_told_so,
    another_token_is_noticed,
    a_rejoin_is_refused_clearly,
    foreign_contents_are_nobodys,
    a_place_that_is_emptied_is_told,
);

/// Nobody has left who is not in a list, as long as his entry is there.
#[tokio::test]
async fn lists_may_be_old() {
    let bucket = bucket().unwrap();
    let directory = bucket.directory("secret");
    let faults = &bucket.server.faults;
    faults.often(Method::GET, "list-type=2", Fault::Stale, 3);
    let places = job(&directory, "job", 3).await;
    // From now on all get the list that was made before anybody came.
    let empty = faults.hit();
    faults.often(Method::GET, "list-type=2", Fault::Empty, 1);
    while faults.hit() < empty + 12 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (place, _) in &places {
        assert_eq!(place.event().now_or_never(), None, "nobody has left");
    }
    faults.clear();
    leave(&places).await;
    assert_eq!(bucket.left().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_url_is_told_at_once() {
    let directory = Shared::s3("s3://bucket?regoin=x", Token::new("s"), Duration::from_secs(4));
    let wrong = join(&directory, registration("job", 1, Ranks::Any(1)), Duration::ZERO).await;
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("is unknown"), "{wrong}");
}
