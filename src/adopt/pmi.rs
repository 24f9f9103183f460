//! The name of the job, by PMI-1: lines of text on a socket that the launcher has left open.
//!
//! `cmd=get_my_kvsname` → `cmd=my_kvsname kvsname=kvs_3438_0_1532395231_host`: process, number, chance
//! and host of `mpirun`, the same for all processes of the job and for no other's. Then `cmd=finalize`: who
//! has spoken and ends without that is taken for crashed, and the job is killed. So a process asks once, and
//! does not use MPI as well. The protocol is in MPICH's `src/pmi/src/pmi_wire.c`.

use std::{
    io::{self, Read, Write},
    os::{fd::BorrowedFd, unix::net::UnixStream},
    sync::OnceLock,
    time::Duration,
};

/// The name, asked for once.
pub(super) fn job(socket: i32) -> Result<String, String> {
    static NAME: OnceLock<Result<String, String>> = OnceLock::new();
    NAME.get_or_init(|| ask(socket).map_err(|error| format!("PMI does not say ({error})"))).clone()
}

/// It comes from the launcher's part on this machine, which has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer lines are none of PMI's.
const LONGEST: usize = 1024;

fn ask(socket: i32) -> io::Result<String> {
    if socket < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: nobody here closes what the launcher has left open; the borrow ends with this
    // statement. Should there be nothing under this number, the system says so.
    let owned = unsafe { BorrowedFd::borrow_raw(socket) }.try_clone_to_owned()?;
    converse(UnixStream::from(owned))
}

fn converse(mut stream: UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"cmd=get_my_kvsname\n")?;
    let answer = line(&mut stream)?;
    stream.write_all(b"cmd=finalize\n")?;
    line(&mut stream)?;
    let name = answer.split_whitespace().find_map(|word| word.strip_prefix("kvsname="));
    let name = name.filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| io::Error::other(format!("{answer:?} is no answer")))
}

fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match byte[0] {
            b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
            _ if line.len() == LONGEST => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::fd::AsRawFd, thread};

    /// What is heard from a launcher that answers so.
    fn heard(answers: &'static [&'static str]) -> Result<String, String> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let launcher = thread::spawn(move || {
            for answer in answers {
                let asked = line(&mut theirs).unwrap();
                assert!(asked.starts_with("cmd="), "{asked}");
                theirs.write_all(answer.as_bytes()).unwrap();
            }
        });
        let name = ask(ours.as_raw_fd()).map_err(|error| error.to_string());
        launcher.join().unwrap();
        name
    }

    #[test]
    fn the_name_is_asked_for() {
        let answers = &["cmd=my_kvsname kvsname=kvs_1_0_2_host\n", "cmd=finalize_ack\n"];
        assert_eq!(heard(answers), Ok("kvs_1_0_2_host".to_owned()));
    }

    #[test]
    fn what_is_no_answer() {
        let wrong = heard(&["cmd=unknown\n", "cmd=finalize_ack\n"]).unwrap_err();
        assert!(wrong.contains("is no answer"), "{wrong}");
        assert!(heard(&[]).is_err(), "it has gone");
        assert!(ask(-1).is_err() && ask(1_000_000).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(ask(file.as_raw_fd()).is_err(), "no socket");
    }
}
