//! What is wrong with a bucket, or with what is in it, is said at once and with what to do.

use super::job::{EPOCH, Job};
use bytes::Bytes;
use fmi_actors::{
    Error, Result,
    frame::Space,
    store::{Item, Part},
};
use fmi_channels::{
    conformance::Bed,
    s3::{Credentials, Options, S3},
};
use fmi_model::polling::Hint;
use hyper::Method;
use std::sync::Arc;
use test_servers::s3::{Fault, KEY, Own, SECRET, Server, own_options};

fn server() -> Arc<Server> {
    Arc::new(Server::Own(Own::start()))
}

async fn connect(url: &str, options: Options) -> Result<Arc<S3>> {
    S3::with(url, "job", Hint::Cheap, options).await
}

/// Connects to what cannot be used; what the error says.
async fn refused(url: &str, options: Options) -> String {
    match connect(url, options).await {
        Err(error @ Error::Store { .. }) => error.to_string(),
        other => panic!("{url}: {other:?}"),
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there() {
    let server = server();
    // The server in this process forgets to say so.
    server.faults(|faults| faults.add(Method::GET, "nothing", Fault::NoBucket, 1));
    let url = server.url().replace("fmi-test", "no-such-bucket");
    says(&refused(&url, server.options()).await, &["no-such-bucket", "create it"]);
}

#[tokio::test]
async fn credentials_that_are_wrong() {
    let server = server();
    let with = |id, secret| Options {
        credentials: Some(Credentials::new(id, secret, None, None, "test")),
        ..server.options()
    };
    let url = server.url();
    let nobody = refused(&url, with("AKIANOBODY", "nothing")).await;
    says(&nobody, &["AWS_ACCESS_KEY_ID"]);
    let wrong = refused(&url, with(KEY, "wrong")).await;
    says(&wrong, &["AWS_SECRET_ACCESS_KEY"]);
    assert!(!wrong.contains("\"wrong\""), "{wrong}");
    server.faults(|faults| faults.add(Method::GET, "nothing", Fault::Expired, 1));
    says(&refused(&url, server.options()).await, &["expired", "new"]);
}

#[tokio::test]
async fn permissions_that_are_missing() {
    let server = server();
    server.faults(|faults| faults.add(Method::GET, "nothing", Fault::Denied, 1));
    let text = refused(&server.url(), server.options()).await;
    says(&text, &["s3:GetObject on arn:aws:s3:::fmi-test/", "s3:ListBucket on"]);
}

#[tokio::test]
async fn nobody_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("s3://bucket/job?endpoint=http://127.0.0.1:{port}");
    let options = Options { patience: std::time::Duration::ZERO, ..own_options() };
    says(&refused(&url, options).await, &["no connection", &port.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_must_not_be_read() {
    let server = server();
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    server.faults(|faults| faults.add(Method::GET, "/mail/", Fault::Denied, usize::MAX));
    let told = bed.bounded("the news", bed.rank(1).refused(Some(0))).await;
    says(&format!("{told:?}"), &["access denied", "s3:GetObject"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_that_must_not_be_listed() {
    let server = server();
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    server.faults(|faults| faults.add(Method::GET, "list-type=2", Fault::Denied, usize::MAX));
    let told = bed.bounded("the news", bed.rank(1).refused(None)).await;
    says(&format!("{told:?}"), &["access denied", "s3:ListBucket on"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_must_not_be_deleted() {
    let server = server();
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    server.faults(|faults| faults.add(Method::DELETE, "/mail/", Fault::Denied, usize::MAX));
    bed.rank(0).put(1, 0, vec![1; 100]).await;
    // It came; its receipt cannot be given.
    bed.bounded("the message", bed.rank(1).get(0, 0)).await;
    let told = bed.bounded("the news", bed.rank(1).refused(Some(0))).await;
    says(&format!("{told:?}"), &["access denied", "s3:DeleteObject"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_must_not_be_written() {
    let server = server();
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    server.faults(|faults| faults.add(Method::PUT, "/mail/", Fault::Denied, usize::MAX));
    let _sent = bed.rank(0).post(1, 0, vec![1; 100]);
    let told = bed.bounded("the news", bed.rank(0).refused(Some(1))).await;
    says(&format!("{told:?}"), &["access denied", "s3:PutObject"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_is_altered_on_its_way() {
    let server = server();
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    server.faults(|faults| faults.add(Method::GET, "/mail/", Fault::Altered, usize::MAX));
    bed.rank(0).put(1, 0, vec![1; 100]).await;
    let told = bed.bounded("the news", bed.rank(1).refused(Some(0))).await;
    says(&format!("{told:?}"), &["/mail/1/0/0000000001", "checksum"]);
}

/// Puts an object of somebody else into a job's bucket.
fn plant(server: &Server, job: &Job, name: &str, content: &[u8]) -> std::path::PathBuf {
    let Server::Own(own) = server else { panic!("only into our own") };
    let prefix = job.url()["s3://fmi-test/".len()..].split('?').next().unwrap().to_owned();
    let file = own.file(&format!("{prefix}/a%20job/{EPOCH}/{name}"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, content).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_of_somebody_else() {
    let server = server();
    let job = Job::at(&server);
    plant(&server, &job, "mail/1/0/0000000001", b"<html>hello</html>");
    let bed = Bed::new(&job, &[1, 1]);
    let told = bed.bounded("the news", bed.rank(1).refused(Some(0))).await;
    says(&format!("{told:?}"), &["/mail/1/0/0000000001", "none of fmi's objects"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_names_stay_where_they_are() {
    let server = server();
    let job = Job::at(&server);
    let names = ["mail/1/readme", "mail/1/0/+1", "notes", "item/x"];
    let files = names.map(|name| plant(&server, &job, name, b"hello"));
    let bed = Bed::new(&job, &[1, 1]);
    for number in 0..50 {
        bed.rank(0).put(1, 0, vec![number; 10]).await;
        let got = bed.bounded("the message", bed.rank(1).get(None, 0)).await;
        assert_eq!(got.payload.bytes().unwrap(), [number; 10]);
    }
    drop(bed);
    // Everything else goes.
    let only_foreign = || job.keys("").len() == names.len();
    for _ in 0..1000 {
        if only_foreign() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(only_foreign(), "{:?}", job.keys(""));
    for file in files {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_that_are_altered_or_of_somebody_else() {
    let server = server();
    let job = Job::at(&server);
    let bed = Bed::new(&job, &[1, 1]);
    let [writer, reader] = [0, 1].map(|process| bed.node(process).store().unwrap());
    let space = Space { scope: 7, number: 3 };
    type Spoil = fn(&mut Vec<u8>);
    let spoil: [(&str, Spoil); 4] = [
        ("checksum", |bytes| bytes[40] ^= 1),
        ("cut", |bytes| bytes.truncate(90)),
        ("cut", |bytes| bytes.extend([0; 9])),
        ("none of fmi's", |bytes| *bytes = b"hello".to_vec()),
    ];
    for (number, (word, spoil)) in spoil.into_iter().enumerate() {
        let item = Item { space, from: 0, part: Part::Block(number) };
        writer.put(item, Bytes::from(vec![7; 100]), 1).await.unwrap();
        let Server::Own(own) = &*server else { unreachable!() };
        let file = own.file(&job.keys("/item/")[0]);
        let mut bytes = std::fs::read(&file).unwrap();
        spoil(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        for range in [None, Some(10..20)] {
            let read = reader.read(item, range, 1, true);
            let refused = bed.bounded("the refusal", read).await.unwrap_err();
            assert!(matches!(refused, Error::Store { .. }), "{refused:?}");
            says(&refused.to_string(), &["block-", word]);
        }
        std::fs::remove_file(&file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_over_the_limit() {
    let server = server();
    let mut job = Job::at(&server);
    job.options.largest = 1_000_000;
    let bed = Bed::new(&job, &[1, 1]);
    let writer = bed.node(0).store().unwrap();
    let item = Item { space: Space { scope: 7, number: 3 }, from: 0, part: Part::Block(0) };
    let refused = writer.put(item, Bytes::from(vec![7; 1_000_000]), 1).await.unwrap_err();
    says(&refused.to_string(), &["1000000 at most", "pieces"]);
    // As the payload of a message: whoever waits for it is told.
    let large = tokio::spawn(bed.rank(0).post_sync(1, 0, vec![7; 2_000_000]));
    let told = bed.bounded("the receiver", bed.rank(1).refused(Some(0))).await;
    says(&format!("{told:?}"), &["1000000 at most"]);
    let told = bed.bounded("the sender", large).await.unwrap().unwrap_err();
    says(&format!("{told:?}"), &["1000000 at most"]);
}
