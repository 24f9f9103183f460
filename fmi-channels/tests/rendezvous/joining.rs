//! Processes that find each other.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use fmi_actors::Error;
use fmi_channels::{
    handshake::Token,
    rendezvous::{Client, Event, Member, Options, Reach, Registration, Server},
};
use tokio::task::JoinSet;

use super::{Bed, JOIN, SECRET, any, bounded, event, given};

#[tokio::test]
async fn processes_find_each_other() {
    bounded(async {
        let bed = Bed::new().await;
        let one = bed.join(given("app", 6, &[4, 1])).await.unwrap();
        let two = bed.join(any("app", None, 3)).await.unwrap();
        assert_eq!(two.registered().ranks, [0, 2, 3]);
        assert_eq!(two.registered().size, 6);
        let three = bed.join(any("app", Some(6), 1)).await.unwrap();
        assert_eq!(three.registered().ranks, [5]);
        assert_eq!(three.registered().observed.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(three.local_addr(), three.registered().observed);

        let members = one.complete().await.unwrap();
        assert_eq!(members, two.complete().await.unwrap());
        assert_eq!(members, three.complete().await.unwrap());
        assert_eq!(members, one.complete().await.unwrap(), "may be asked again");
        assert_eq!(
            members[0],
            Member {
                process: one.registered().process,
                ranks: vec![4, 1],
                addresses: vec![("tcp".to_owned(), "127.0.0.1:5004".to_owned())],
                machine: "here".to_owned(),
                threads: 1,
                cores: 0,
                incarnation: 0,
                observed: Some(one.local_addr()),
                fingerprint: None,
            }
        );
        let ranks = members.iter().flat_map(|m| m.ranks.clone()).collect::<HashSet<_>>();
        assert_eq!(ranks, (0..6).collect());
    })
    .await;
}

#[tokio::test]
async fn address_to_advertise_is_known_when_registering() {
    bounded(async {
        let bed = Bed::new().await;
        let token = Token::new(SECRET);
        let reach = Reach { address: bed.address.clone(), ..Reach::default() };
        let advertise = |local: SocketAddr| Registration {
            addresses: vec![("tcp".to_owned(), format!("{}:7", local.ip()))],
            ..given("app", 1, &[0])
        };
        let client = Client::connect_with(&reach, &token, advertise, JOIN).await.unwrap();
        assert_eq!(client.complete().await.unwrap()[0].addresses[0].1, "127.0.0.1:7");
    })
    .await;
}

#[tokio::test]
async fn jobs_with_similar_names_never_meet() {
    bounded(async {
        let bed = Bed::new().await;
        let app = bed.join(given("App", 13, &[12])).await.unwrap();
        let app1 = bed.join(given("App1", 1, &[0])).await.unwrap();
        assert_ne!(app.registered().epoch, app1.registered().epoch);
        assert_eq!(app1.complete().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn name_can_be_used_again_in_another_epoch() {
    bounded(async {
        let bed = Bed::new().await;
        let mut epochs = HashSet::new();
        for size in 1..5 {
            let client = bed.join(any("app", Some(size), size)).await.unwrap();
            client.complete().await.unwrap();
            assert!(epochs.insert(client.registered().epoch));
            // The server has let the job go when `leave` ends.
            client.leave().await;
        }
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_ranks_in_one_process() {
    bounded(async {
        let bed = Bed::new().await;
        let all = (0..10_000).collect::<Vec<_>>();
        let client = bed.join(given("app", 10_000, &all)).await.unwrap();
        assert_eq!(client.complete().await.unwrap()[0].ranks, all);
        let numbered = bed.join(any("other", Some(10_000), 10_000)).await.unwrap();
        assert_eq!(numbered.registered().ranks, all);
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_ranks_in_many_processes_come_and_go() {
    bounded(async {
        let bed = Bed::new().await;
        let mut joining = JoinSet::new();
        for _ in 0..200 {
            let address = bed.address.clone();
            joining.spawn(async move {
                let token = Token::new(SECRET);
                let registration = any("app", Some(10_000), 50);
                let client = Client::connect(&address, &token, registration, JOIN).await.unwrap();
                assert_eq!(client.complete().await.unwrap().len(), 200);
                client
            });
        }
        let mut clients = joining.join_all().await;
        let last = clients.pop().unwrap();
        futures::future::join_all(clients.iter().map(Client::leave)).await;
        let mut left = HashSet::new();
        for _ in &clients {
            let Some(Event::Left { process, .. }) = event(&last).await else { panic!("not left") };
            left.insert(process);
        }
        assert_eq!(left.len(), 199);
    })
    .await;
}

#[tokio::test]
async fn rendezvous_may_start_later() {
    bounded(async {
        // An address of this test's own, so that no other one gets the port meanwhile.
        let address = {
            let listener = std::net::TcpListener::bind("127.0.0.77:0").unwrap();
            listener.local_addr().unwrap().to_string()
        };
        let registration = given("app", 1, &[0]);
        let token = Token::new(SECRET);
        let deadline = Duration::from_millis(400);
        let error = Client::connect(&address, &token, registration.clone(), deadline).await;
        let Err(Error::Rendezvous { address: at, reason }) = error else { panic!("{error:?}") };
        assert_eq!(at, address);
        assert!(reason.contains("refused") && reason.contains("400ms"), "{reason}");

        let client = Client::connect(&address, &token, registration, JOIN);
        let serve = async {
            // After the first attempt.
            tokio::time::sleep(Duration::from_millis(30)).await;
            let server =
                Server::bind(&address, Token::new(SECRET), Options::default()).await.unwrap();
            tokio::spawn(server.run(std::future::pending::<()>()));
        };
        let (client, ()) = tokio::join!(client, serve);
        client.unwrap().complete().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn names_and_ipv6() {
    bounded(async {
        for host in ["localhost", "[::1]"] {
            let token = Token::new(SECRET);
            let Ok(server) =
                Server::bind(&format!("{host}:0"), token.clone(), Options::default()).await
            else {
                assert_eq!(host, "[::1]", "only IPv6 may be missing");
                continue;
            };
            let address = format!("tcp://{host}:{}", server.local_addr().port());
            tokio::spawn(server.run(std::future::pending::<()>()));
            let client = Client::connect(&address, &token, given("app", 1, &[0]), JOIN).await;
            let client = client.unwrap();
            client.complete().await.unwrap();
            assert!(client.registered().observed.ip().is_loopback());
        }
    })
    .await;
}

#[test]
fn runs_in_an_actix_system() {
    actix_rt::System::new().block_on(bounded(async {
        let bed = Bed::new().await;
        let client = bed.join(given("app", 1, &[0])).await.unwrap();
        client.complete().await.unwrap();
        client.leave().await;
        bed.stop().await;
    }));
}

#[tokio::test]
async fn a_job_that_is_never_complete_ends() {
    bounded(async {
        let incomplete = Duration::from_millis(50);
        let bed = Bed::with(Options { incomplete, ..Options::default() }).await;
        let whole = bed.join(given("whole", 1, &[0])).await.unwrap();
        whole.complete().await.unwrap();
        let waits = bed.join(given("app", 2, &[0])).await.unwrap();
        let error = waits.complete().await.unwrap_err();
        assert!(matches!(error, Error::Rendezvous { .. }), "{error:?}");
        // Its name is free, and the complete one goes on.
        let other = bed.join(given("app", 1, &[0])).await.unwrap();
        other.complete().await.unwrap();
        whole.leave().await;
        assert_eq!(whole.event().await, None);
    })
    .await;
}

#[tokio::test]
async fn too_many_connections_from_one_address() {
    bounded(async {
        let bed = Bed::with(Options { per_address: (3, 1), ..Options::default() }).await;
        let app = |rank| bed.join(given("app", 10, &[rank]));
        let _three = (app(0).await.unwrap(), app(1).await.unwrap(), app(2).await.unwrap());
        // The fourth comes in when the time has come.
        let _fourth = app(3).await.unwrap();
        assert!(bed.monitor.figures().unwrap().crowded > 0);
        assert_eq!(bed.monitor.figures().unwrap().processes, 4);
    })
    .await;
}
