use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};

use super::*;

fn token(text: &str) -> Token {
    Token::new(text)
}

async fn both(
    opener: (Purpose, &str, &[u8]),
    acceptor: (Purpose, &str, Result<Vec<u8>, String>),
) -> (Result<Vec<u8>, Failure>, Result<Vec<u8>, Failure>) {
    let (mut near, mut far) = duplex(64);
    let (near_token, far_token) = (token(opener.1), token(acceptor.1));
    tokio::join!(
        async move { opening(&mut near, opener.0, &near_token, opener.2).await },
        async move { accepting(&mut far, acceptor.0, &far_token, |_| acceptor.2).await },
    )
}

#[tokio::test]
async fn both_sides_learn_the_others_hello() {
    let hello = vec![7; MAX_HELLO];
    let (opened, accepted) = both(
        (Purpose::Link, "secret", &hello),
        (Purpose::Link, "secret", Ok(b"process 3".to_vec())),
    )
    .await;
    assert_eq!(opened.unwrap(), b"process 3");
    assert_eq!(accepted.unwrap(), hello);
}

#[tokio::test]
async fn wrong_token_is_named_on_both_sides() {
    let (opened, accepted) =
        both((Purpose::Rendezvous, "secret", b""), (Purpose::Rendezvous, "other", Ok(Vec::new())))
            .await;
    assert_eq!(opened, Err(Failure::WrongToken));
    assert_eq!(accepted, Err(Failure::WrongToken));
    assert_eq!(
        Failure::WrongToken.at("10.0.0.1:4"),
        Error::WrongToken { at: "10.0.0.1:4".to_owned() }
    );
}

/// What both are told on connections whose secrets are these.
async fn bound(opener: (&str, u8), acceptor: (&str, u8)) -> [Result<Vec<u8>, Error>; 2] {
    let (mut near, mut far) = duplex(64);
    let met = |role, secret| Met::bound(role, Purpose::Link, &[secret; BINDING]);
    let (near_token, far_token) = (token(opener.0), token(acceptor.0));
    let opened = met(Role::Opener, opener.1).open(&mut near, &near_token, b"hi", "far");
    let answer = |_: &[u8]| Ok(b"hello".to_vec());
    let accepted = met(Role::Acceptor, acceptor.1).accept(&mut far, &far_token, answer, "near");
    let (opened, accepted) = tokio::join!(opened, accepted);
    [opened, accepted]
}

#[tokio::test]
async fn a_secret_connection_needs_no_greeting() {
    let told = bound(("secret", 1), ("secret", 1)).await;
    assert_eq!(told, [Ok(b"hello".to_vec()), Ok(b"hi".to_vec())]);
    // Another token, or two connections with somebody in the middle.
    for acceptor in [("other", 1), ("secret", 2)] {
        let [opened, accepted] = bound(("secret", 1), acceptor).await;
        assert_eq!(opened, Err(Error::WrongToken { at: "far".to_owned() }));
        assert_eq!(accepted, Err(Error::WrongToken { at: "near".to_owned() }));
    }
}

#[tokio::test]
async fn proofs_of_a_secret_connection_are_worthless_on_others() {
    // The same nonces, but greeted; and one's own proof, sent back.
    let secret = token("secret");
    let met = Met::bound(Role::Opener, Purpose::Link, &[1; BINDING]);
    let greeted = Met { bound: false, ..met.clone() };
    let proof = |met| {
        let proof = Proof { token: &secret, met, hello: b"hi" };
        [proof.opener(), proof.acceptor(ACCEPTED, b"")].map(|mac| mac.finalize().into_bytes())
    };
    let all: std::collections::HashSet<_> = [&met, &greeted].into_iter().flat_map(proof).collect();
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn impostor_acceptor_is_found_out() {
    let (mut near, mut far) = duplex(1024);
    let impostor = async move {
        greeting(&mut far).await.unwrap();
        greet(&mut far, Purpose::Link, Opened::Elsewhere, &[1; NONCE]).await.unwrap();
        block(&mut far).await.unwrap();
        far.write_all(&[ACCEPTED, 0, 0, 0, 0]).await.unwrap();
        far.write_all(&[9; 32]).await.unwrap();
        far
    };
    let secret = token("secret");
    let (opened, _far) = tokio::join!(opening(&mut near, Purpose::Link, &secret, b"hi"), impostor);
    assert_eq!(opened, Err(Failure::WrongToken));
}

#[tokio::test]
async fn reflected_proof_is_worthless() {
    // An acceptor without the token sends the opener's own nonce and proof back.
    let (mut near, mut far) = duplex(1024);
    let mirror = async move {
        let (purpose, _, nonce) = greeting(&mut far).await.unwrap();
        greet(&mut far, purpose, Opened::Elsewhere, &nonce).await.unwrap();
        let hello = block(&mut far).await.unwrap();
        let mut mac = [0; 32];
        far.read_exact(&mut mac).await.unwrap();
        far.write_all(&[ACCEPTED]).await.unwrap();
        far.write_all(&(hello.len() as u32).to_le_bytes()).await.unwrap();
        far.write_all(&hello).await.unwrap();
        far.write_all(&mac).await.unwrap();
        far
    };
    let secret = token("secret");
    let (opened, _far) = tokio::join!(opening(&mut near, Purpose::Link, &secret, b"hi"), mirror);
    assert_eq!(opened, Err(Failure::WrongToken));
}

#[tokio::test]
async fn altered_hello_is_found_out() {
    let (mut near, mut middle) = duplex(1024);
    let (mut other, mut far) = duplex(1024);
    let relay = async move {
        pass(&mut middle, &mut other, 37, None).await;
        pass(&mut other, &mut middle, 37, None).await;
        pass(&mut middle, &mut other, 4 + 6 + 32, Some(4)).await;
        pass(&mut other, &mut middle, 1, None).await;
        (middle, other)
    };
    let secret = token("secret");
    let (opened, accepted, _ends) = tokio::join!(
        opening(&mut near, Purpose::Link, &secret, b"rank 3"),
        accepting(&mut far, Purpose::Link, &secret, |_| Ok(Vec::new())),
        relay
    );
    assert_eq!(opened, Err(Failure::WrongToken));
    assert_eq!(accepted, Err(Failure::WrongToken));
}

/// Both sides have opened the connection. What each has been told by the other.
async fn crossing(first: &str, second: &str) -> (Role, [Result<Vec<u8>, Failure>; 2]) {
    async fn side(mut stream: DuplexStream, secret: &str) -> (Role, Result<Vec<u8>, Failure>) {
        let met = meeting(&mut stream, Purpose::Link).await.unwrap();
        let (role, token) = (met.role(), token(secret));
        let outcome = match role {
            Role::Opener => prove(&mut stream, &met, &token, b"opener").await,
            Role::Acceptor => verify(&mut stream, &met, &token, |_| Ok(b"acceptor".to_vec())).await,
        };
        (role, outcome)
    }
    let (near, far) = duplex(64);
    let ((role, ours), (other, theirs)) = tokio::join!(side(near, first), side(far, second));
    assert_ne!(role, other);
    (role, [ours, theirs])
}

#[tokio::test]
async fn of_two_that_opened_one_is_the_opener() {
    let mut parts = [0; 2];
    for _ in 0..40 {
        let (role, told) = crossing("secret", "secret").await;
        let mut expected = [Ok(b"acceptor".to_vec()), Ok(b"opener".to_vec())];
        if role == Role::Acceptor {
            expected.reverse();
        }
        assert_eq!(told, expected);
        parts[usize::from(role == Role::Opener)] += 1;
    }
    assert!(parts.iter().all(|count| *count > 0), "chance decides: {parts:?}");
    let (_, told) = crossing("secret", "other").await;
    assert_eq!(told, [Err(Failure::WrongToken), Err(Failure::WrongToken)]);
}

#[tokio::test]
async fn who_meets_an_acceptor_is_the_opener() {
    let (mut near, mut far) = duplex(64);
    let token = token("secret");
    let (met, accepted) = tokio::join!(
        async {
            let met = meeting(&mut near, Purpose::Link).await?;
            assert_eq!(met.role(), Role::Opener);
            prove(&mut near, &met, &token, b"opener").await
        },
        accepting(&mut far, Purpose::Link, &token, |_| Ok(b"acceptor".to_vec())),
    );
    assert_eq!(met.unwrap(), b"acceptor");
    assert_eq!(accepted.unwrap(), b"opener");
}

#[tokio::test]
async fn who_hears_itself_says_no_more() {
    // Everything that is sent comes back.
    let (mut near, mut far) = duplex(64);
    let echo = async move {
        let mut bytes = [0; 37];
        far.read_exact(&mut bytes).await.unwrap();
        far.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let met = async move { meeting(&mut near, Purpose::Link).await.map(|met| met.role()) };
    let (met, rest) = tokio::join!(met, echo);
    assert_eq!((met, rest), (Err(Failure::Itself), vec![]));
}

#[tokio::test]
async fn nobody_can_swap_the_parts() {
    // Somebody in the middle makes the opener believe that the other side has opened, too.
    let mut swapped = 0;
    while swapped == 0 {
        let (near, mut middle) = duplex(1024);
        let (mut other, far) = duplex(1024);
        let relay = async move {
            pass(&mut middle, &mut other, 37, None).await;
            let mut bytes = [0; 37];
            other.read_exact(&mut bytes).await.unwrap();
            bytes[4] &= 0x7f;
            middle.write_all(&bytes).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut middle, &mut other).await;
        };
        let secret = token("secret");
        let opener = async {
            let mut near = near;
            let met = meeting(&mut near, Purpose::Link).await?;
            match met.role() {
                Role::Opener => prove(&mut near, &met, &secret, b"hi").await,
                // Both wait for the other to begin: no harm done.
                Role::Acceptor => Err(Failure::Role),
            }
        };
        let acceptor = async {
            let mut far = far;
            accepting(&mut far, Purpose::Link, &secret, |_| Ok(Vec::new())).await
        };
        let (opened, accepted, ()) = tokio::join!(opener, acceptor, relay);
        if opened != Err(Failure::Role) {
            assert_eq!((opened, accepted), (Err(Failure::WrongToken), Err(Failure::WrongToken)));
            swapped += 1;
        }
    }
}

#[tokio::test]
async fn an_acceptor_takes_no_acceptor() {
    let mut input = MAGIC.to_vec();
    input.push(Purpose::Link as u8 | Opened::Elsewhere as u8);
    input.extend([0; NONCE]);
    assert_eq!(fed(&input, false).await, Err(Failure::Role));
}

async fn pass(from: &mut DuplexStream, to: &mut DuplexStream, len: usize, flip: Option<usize>) {
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes).await.unwrap();
    if let Some(index) = flip {
        bytes[index] ^= 1;
    }
    to.write_all(&bytes).await.unwrap();
}

#[tokio::test]
async fn refusal_reaches_the_opener_as_text() {
    let refusal = Err("that is epoch 4".to_owned());
    let (opened, accepted) =
        both((Purpose::Link, "secret", b"epoch 3"), (Purpose::Link, "secret", refusal)).await;
    assert_eq!(opened, Err(Failure::Refused("that is epoch 4".to_owned())));
    assert_eq!(accepted, opened);
}

#[tokio::test]
async fn wrong_port_is_named_on_both_sides() {
    let (opened, accepted) =
        both((Purpose::Link, "secret", b""), (Purpose::Rendezvous, "secret", Ok(Vec::new()))).await;
    let (link, rendezvous) = (Purpose::Link, Purpose::Rendezvous);
    assert_eq!(opened, Err(Failure::Purpose { ours: link, theirs: rendezvous }));
    assert_eq!(accepted, Err(Failure::Purpose { ours: rendezvous, theirs: link }));
}

#[tokio::test]
async fn too_long_hello_is_not_sent() {
    let hello = vec![0; MAX_HELLO + 1];
    let (opened, accepted) =
        both((Purpose::Link, "s", &hello), (Purpose::Link, "s", Ok(Vec::new()))).await;
    assert_eq!(opened, Err(Failure::TooLong(MAX_HELLO + 1)));
    assert!(matches!(accepted, Err(Failure::Broken { .. })));
}

#[tokio::test]
async fn forged_length_is_refused_unread() {
    let mut input = MAGIC.to_vec();
    input.push(Purpose::Link as u8);
    input.extend([0; NONCE]);
    input.extend([0xff; 12]);
    assert_eq!(fed(&input, false).await, Err(Failure::TooLong(u32::MAX as usize)));
}

#[tokio::test]
async fn other_protocols_are_told_apart() {
    assert_eq!(fed(b"GET / HTTP/1.1\r\n\r\n", false).await, Err(Failure::NotFmi));
    assert_eq!(fed(b"HTTP/1.1 400 Bad Request\r\n", true).await, Err(Failure::NotFmi));
    assert_eq!(fed(b"FMI2....", false).await, Err(Failure::Version));
    assert!(matches!(fed(b"FM", false).await, Err(Failure::Broken { .. })));
    assert!(matches!(fed(b"", true).await, Err(Failure::Broken { .. })));
}

/// What a side makes of a peer that sends `input` and closes.
async fn fed(input: &[u8], opener: bool) -> Result<Vec<u8>, Failure> {
    let mut stream = tokio::io::join(input, tokio::io::sink());
    if opener {
        opening(&mut stream, Purpose::Link, &token("secret"), b"hello").await
    } else {
        accepting(&mut stream, Purpose::Link, &token("secret"), |_| Ok(Vec::new())).await
    }
}

#[test]
fn token_shows_in_no_debug_output() {
    let random = Token::random().unwrap();
    assert_eq!(random.reveal().len(), 64);
    assert_ne!(random.reveal(), Token::random().unwrap().reveal());
    assert_eq!(format!("{random:?} {:?}", Some(token("secret"))), "Token(…) Some(Token(…))");
}

proptest! {
    #[test]
    fn random_bytes_never_pass_and_never_panic(
        mut input in proptest::collection::vec(any::<u8>(), 0..200),
        start in 0..3usize,
        opener: bool,
    ) {
        // Let some inputs get past the first checks.
        let mut honest = MAGIC.to_vec();
        honest.push(Purpose::Link as u8);
        honest.extend([5; NONCE]);
        honest.extend([2, 0, 0, 0]);
        input.splice(..0, honest.into_iter().take([0, 37, 41][start]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(fed(&input, opener)).is_err());
    }
}
