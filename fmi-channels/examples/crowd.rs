//! How much memory a rendezvous takes with many processes: `cargo run --release -p fmi-channels
//! --example crowd -- 10000`.
//!
//! Starts a server in a process of its own and registers so many processes of one job, each over a
//! connection of its own, from here. Each then gets the list of all. Prints the server's resident
//! memory when all have registered, and the most that it had.

use std::{
    env, error, fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fmi_actors::codec;
use fmi_channels::{
    handshake::{self, Purpose, Token},
    rendezvous::{Options, Ranks, Registration, Server, Terms},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

type Outcome<T> = Result<T, Box<dyn error::Error + Send + Sync>>;

const SECRET: &str = "crowd";

fn main() -> Outcome<()> {
    let argument = env::args().nth(1);
    more_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match argument.as_deref() {
        Some("serve") => runtime.block_on(serve()),
        count => runtime.block_on(measure(count.map_or(Ok(10_000), str::parse)?)),
    }
}

/// One descriptor a process, on either side.
fn more_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours, and lives as long as the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

async fn serve() -> Outcome<()> {
    // They are slow here, all on one machine, in whatever build this is.
    let patient = Duration::from_secs(600);
    let options = Options { silent: patient, handshake: patient, ..Options::default() };
    let server = Server::bind("127.0.0.1:0", Token::new(SECRET), options).await?;
    println!("{}", server.local_addr());
    server.run(std::future::pending::<()>()).await;
    Ok(())
}

async fn measure(count: u32) -> Outcome<()> {
    let mut server =
        Command::new(env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let measured = with(server.id(), server.stdout.take(), count).await;
    server.kill()?;
    server.wait()?;
    measured
}

async fn with(server: u32, out: Option<std::process::ChildStdout>, count: u32) -> Outcome<()> {
    let mut address = String::new();
    BufReader::new(out.ok_or("no output")?).read_line(&mut address)?;
    let address = address.trim().to_owned();
    println!("empty: {}", memory(server)?);
    let start = Instant::now();
    let mut coming = JoinSet::new();
    let mut there = Vec::new();
    // The last one completes the job.
    for rank in 0..count - 1 {
        coming.spawn(register(address.clone(), rank, count));
        if coming.len() >= 500
            && let Some(stream) = coming.join_next().await
        {
            there.push(stream??);
        }
    }
    while let Some(stream) = coming.join_next().await {
        there.push(stream??);
    }
    println!("{} registered in {:.1?}: {}", there.len(), start.elapsed(), memory(server)?);
    there.push(register(address, count - 1, count).await?);
    let mut lists = JoinSet::new();
    for mut stream in there {
        lists.spawn(async move {
            let length = stream.read_u32_le().await?;
            // Read and forgotten: it is the server that is measured.
            let list =
                tokio::io::copy(&mut (&mut stream).take(length.into()), &mut tokio::io::sink())
                    .await?;
            Outcome::Ok((stream, list))
        });
    }
    let (mut complete, mut bytes) = (Vec::new(), 0);
    while let Some(list) = lists.join_next().await {
        let (stream, list) = list??;
        complete.push(stream);
        bytes = list;
    }
    println!(
        "{} have the list of {bytes} bytes after {:.1?}: {}",
        complete.len(),
        start.elapsed(),
        memory(server)?
    );
    Ok(())
}

/// Registers, and takes the answer.
async fn register(address: String, rank: u32, size: u32) -> Outcome<TcpStream> {
    let registration = Registration {
        job: "crowd".to_owned(),
        size: Some(size),
        ranks: Ranks::Given(vec![rank]),
        addresses: vec![
            ("tcp".to_owned(), format!("10.0.{}.{}:40123", rank / 250, rank % 250)),
            ("quic".to_owned(), format!("10.0.{}.{}:40124", rank / 250, rank % 250)),
        ],
        machine: format!("6f9619ff-8b86-d011-b42d-{rank:012}"),
        threads: 1,
        cores: 0,
        after: None,
        terms: Terms::default(),
        fingerprint: Some([7; 32]),
        model: String::new(),
    };
    let mut stream = TcpStream::connect(&address).await?;
    let token = Token::new(SECRET);
    handshake::open(&mut stream, Purpose::Rendezvous, &token, &[], &address).await?;
    // The first kind of request.
    let body = codec::encode(&(0u8, registration))?;
    stream.write_all(&[&u32::try_from(body.len())?.to_le_bytes()[..], &body].concat()).await?;
    let length = stream.read_u32_le().await?;
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await?;
    if answer.first() != Some(&0) {
        return Err("refused".into());
    }
    Ok(stream)
}

/// What the system says of a process' memory.
fn memory(process: u32) -> Outcome<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let of = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        format!("{:.1} MB", kib.unwrap_or_default() * 1024.0 / 1e6)
    };
    Ok(format!("resident {}, at most {}", of("VmRSS:"), of("VmHWM:")))
}
