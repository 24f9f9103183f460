//! `~/.fmi/jobs/ID`: where processes meet that somebody else has started.
//!
//! ```text
//! .fmi/jobs/.lock                held while somebody comes or goes
//! .fmi/jobs/ID/token             the job's secret; made by the first, read by all
//! .fmi/jobs/ID/BOOT-NS-PID-N.in  somebody who is in: boot, pid namespace, process, place
//! .fmi/jobs/ID/fmi-…/            the directory's own
//! ```
//!
//! Nobody but its owner may read or write there, or it is refused. Who goes and finds nobody else that
//! may live takes the folder away. A killed job leaves its folder: a later one of the same id takes it over
//! (the token is as good as a new one, and the directory tells the dead from the living), and what was not touched
//! for a day, the next job takes away.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use fmi_actors::{Error, Result};
use fmi_channels::handshake;

/// A place in a job's folder, until it is [left](Self::leave) or dropped.
pub(crate) struct JobFolder {
    jobs: PathBuf,
    path: PathBuf,
    mark: PathBuf,
    token: String,
    left: AtomicBool,
}

/// Leftovers that old are swept.
const EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// How long who comes, or goes, waits for others that do. It takes each a fraction of a millisecond.
const ENTRY: Duration = Duration::from_secs(30);
const EXIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);
const TOKEN: &str = "token";
const MARK: &str = ".in";
/// Bytes of a token that are read: ours has 64.
const MOST: u64 = 4096;

impl JobFolder {
    /// Comes in; blocks.
    pub(crate) fn enter(home: &Path, id: &str) -> Result<Self> {
        let base = home.join(".fmi");
        let jobs = base.join("jobs");
        make(&base)?;
        owned(&base, 0o022)?;
        make(&jobs)?;
        owned(&jobs, 0o077)?;
        let _lock = lock(&jobs, ENTRY)?;
        let path = jobs.join(id);
        if make(&path)? {
            sweep(&jobs);
        }
        owned(&path, 0o077)?;
        let token = token(&path)?;
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let (own, place) = (Own::new(), PLACES.fetch_add(1, Ordering::Relaxed));
        let mark = path.join(format!("{}-{}-{place}{MARK}", own.space, own.process));
        new_file(&mark).map_err(|error| wrong(&mark, &error))?;
        Ok(Self { jobs, path, mark, token, left: AtomicBool::new(false) })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes; the last one takes the folder away. Blocks.
    pub(crate) fn leave(&self) {
        if self.left.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(_lock) = lock(&self.jobs, EXIT) else { return };
        let _ = fs::remove_file(&self.mark);
        if !inhabited(&self.path) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        self.leave();
    }
}

impl std::fmt::Debug for JobFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JobFolder({})", self.path.display())
    }
}

impl PartialEq for JobFolder {
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

/// This process, and where its number means it.
struct Own {
    space: String,
    process: u32,
}

impl Own {
    fn new() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        // Containers of one machine have numbers of their own.
        let space = fs::metadata("/proc/self/ns/pid").map_or(0, |data| data.ino());
        Self { space: format!("{boot}-{space}"), process: std::process::id() }
    }

    /// Whether whoever made a mark may live.
    fn may_live(&self, mark: &str) -> bool {
        let Some(rest) = mark.strip_prefix(&self.space).and_then(|rest| rest.strip_prefix('-'))
        else {
            return true;
        };
        let process = rest.split('-').next().unwrap_or_default();
        Path::new("/proc").join(process).exists()
    }
}

/// Whether somebody is in who may live.
fn inhabited(folder: &Path) -> bool {
    let own = Own::new();
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.to_str()
            .and_then(|name| name.strip_suffix(MARK))
            .is_some_and(|mark| own.may_live(mark))
    })
}

/// Makes a folder for this user alone; false if it is there.
fn make(folder: &Path) -> Result<bool> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(wrong(folder, &error)),
    }
}

/// Refuses what belongs to somebody else, is no folder, or gives others rights of `mask`.
fn owned(folder: &Path, mask: u32) -> Result<()> {
    let data = fs::symlink_metadata(folder).map_err(|error| wrong(folder, &error))?;
    if !data.is_dir() {
        return Err(refused(folder, "it is no folder: take it away"));
    }
    safe(folder, &data, mask)
}

fn safe(path: &Path, data: &fs::Metadata, mask: u32) -> Result<()> {
    let user = fs::metadata("/proc/self").map_err(|error| wrong(path, &error))?.uid();
    if data.uid() != user {
        return Err(refused(
            path,
            &format!("it belongs to user {}, and this process is of user {user}", data.uid()),
        ));
    }
    if data.mode() & mask != 0 {
        let (mode, fit) = (data.mode() & 0o777, data.mode() & 0o777 & !mask);
        return Err(refused(
            path,
            &format!(
                "others have rights there (mode {mode:o}): chmod {fit:o}, if nobody has been there"
            ),
        ));
    }
    Ok(())
}

/// Until it is dropped nobody else comes or goes. Where files cannot be locked, all must do without.
fn lock(jobs: &Path, patience: Duration) -> Result<Option<File>> {
    let path = jobs.join(".lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|error| wrong(&path, &error))?;
    let end = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => {
                let why = format!(
                    "somebody has held it for {patience:?}: is a process of yours stopped?"
                );
                return Err(refused(&path, &why));
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// The token that is there, or a new one.
fn token(folder: &Path) -> Result<String> {
    let path = folder.join(TOKEN);
    if let Some(token) = read(&path)? {
        return Ok(token);
    }
    let fresh = handshake::Token::random()?.reveal().to_owned();
    // Whole or not at all: another process may look at once, where there are no locks.
    let draft = folder.join(format!(".{TOKEN}-{}", std::process::id()));
    let written = new_file(&draft).and_then(|mut file| {
        file.write_all(fresh.as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&draft, &path)
    });
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => Ok(fresh),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(&path)?.ok_or_else(|| refused(&path, "others keep taking it away"))
        }
        Err(error) => Err(wrong(&path, &error)),
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    let data = match fs::symlink_metadata(path) {
        Ok(data) => data,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(path, &error)),
    };
    if !data.is_file() || data.len() > MOST {
        return Err(refused(path, "it is no token of ours: take it away"));
    }
    safe(path, &data, 0o077)?;
    let token = fs::read_to_string(path).map_err(|error| wrong(path, &error))?;
    match token.trim() {
        "" => Err(refused(path, "it is empty: take it away")),
        token => Ok(Some(token.to_owned())),
    }
}

/// A file that was not there, for this user alone.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Takes away what killed jobs have left.
fn sweep(jobs: &Path) {
    let Ok(entries) = fs::read_dir(jobs) else { return };
    for entry in entries.flatten() {
        let old = youngest(&entry.path(), 3)
            .is_some_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > EXPIRY));
        if old && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// When something in a folder changed last.
fn youngest(path: &Path, depth: u32) -> Option<SystemTime> {
    let data = fs::symlink_metadata(path).ok()?;
    let inside = match depth {
        0 => None,
        _ if !data.is_dir() => None,
        _ => {
            let all = fs::read_dir(path).ok()?.flatten();
            all.filter_map(|entry| youngest(&entry.path(), depth - 1)).max()
        }
    };
    data.modified().ok().max(inside)
}

fn wrong(path: &Path, error: &io::Error) -> Error {
    refused(path, &error.to_string())
}

fn refused(path: &Path, why: &str) -> Error {
    Error::Rendezvous {
        address: format!("file://{}", path.display()),
        reason: format!(
            "{why} (processes that are started by others meet below ~/.fmi/jobs; FMI_RENDEZVOUS and \
             FMI_TOKEN name another place)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn all_read_the_token_of_the_first_and_the_last_tidies_up() {
        let home = tempfile::tempdir().unwrap();
        let first = JobFolder::enter(home.path(), "slurm-1.0").unwrap();
        let second = JobFolder::enter(home.path(), "slurm-1.0").unwrap();
        let other = JobFolder::enter(home.path(), "slurm-1.1").unwrap();
        assert_eq!((first.token().len(), first.token()), (64, second.token()));
        assert_ne!(first.token(), other.token());
        for path in [first.path(), &first.path().join(TOKEN)] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0, "{path:?}");
        }
        assert!(!format!("{first:?}").contains(first.token()));
        first.leave();
        first.leave();
        assert!(second.path().exists());
        drop(second);
        assert!(!first.path().exists() && other.path().exists());
    }

    #[test]
    fn many_come_and_go_at_once() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let place = JobFolder::enter(home.path(), "job").unwrap();
                        let token = fs::read_to_string(place.path().join(TOKEN)).unwrap();
                        assert_eq!(token, place.token());
                    }
                });
            }
        });
        assert!(!home.path().join(".fmi/jobs/job").exists());
    }

    #[test]
    fn what_a_killed_job_has_left_is_taken_over() {
        let home = tempfile::tempdir().unwrap();
        let killed = JobFolder::enter(home.path(), "job").unwrap();
        let (token, path) = (killed.token().to_owned(), killed.path().to_owned());
        // Of a process that cannot be, as Linux' numbers end below.
        let dead = path.join(format!("{}-4999999-0{MARK}", Own::new().space));
        fs::rename(&killed.mark, &dead).unwrap();
        std::mem::forget(killed);
        let next = JobFolder::enter(home.path(), "job").unwrap();
        assert_eq!(next.token(), token);
        drop(next);
        assert!(!path.exists(), "a mark of the dead keeps nobody");
    }

    #[test]
    fn a_mark_of_another_machine_stays() {
        let home = tempfile::tempdir().unwrap();
        let place = JobFolder::enter(home.path(), "job").unwrap();
        fs::write(place.path().join("0123-4-5-0.in"), "").unwrap();
        let path = place.path().to_owned();
        drop(place);
        assert!(path.exists());
    }

    #[test]
    fn old_leftovers_are_swept() {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().join(".fmi/jobs");
        fs::create_dir_all(jobs.join("old/fmi-1")).unwrap();
        fs::create_dir_all(jobs.join("new")).unwrap();
        mode(&jobs, 0o700);
        let long_ago = SystemTime::now() - 2 * EXPIRY;
        for path in ["old/fmi-1", "old"] {
            File::open(jobs.join(path)).unwrap().set_modified(long_ago).unwrap();
        }
        let _place = JobFolder::enter(home.path(), "job").unwrap();
        assert!(!jobs.join("old").exists() && jobs.join("new").exists());
    }

    #[test]
    fn folders_that_others_may_use_are_refused() {
        let home = tempfile::tempdir().unwrap();
        drop(JobFolder::enter(home.path(), "job").unwrap());
        let jobs = home.path().join(".fmi/jobs");
        let told = |part: &str| {
            let wrong = JobFolder::enter(home.path(), "job").unwrap_err().to_string();
            assert!(wrong.contains(part), "{wrong}");
        };
        mode(&jobs, 0o755);
        told("others have rights there (mode 755): chmod 700");
        mode(&jobs, 0o700);
        fs::create_dir(jobs.join("job")).unwrap();
        mode(&jobs.join("job"), 0o770);
        told(".fmi/jobs/job: others have rights there (mode 770)");
        mode(&jobs.join("job"), 0o700);
        fs::write(jobs.join("job/token"), "abc").unwrap();
        mode(&jobs.join("job/token"), 0o644);
        told("job/token: others have rights there (mode 644): chmod 600");
        fs::write(jobs.join("job/token"), "").unwrap();
        mode(&jobs.join("job/token"), 0o600);
        told("it is empty: take it away");
        fs::remove_dir_all(jobs.join("job")).unwrap();
        std::os::unix::fs::symlink("/tmp", jobs.join("job")).unwrap();
        told("it is no folder");
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".fmi")).unwrap();
        // Only root can give things away.
        if std::os::unix::fs::chown(home.path().join(".fmi"), Some(12_345), None).is_ok() {
            let wrong = JobFolder::enter(home.path(), "job").unwrap_err().to_string();
            assert!(wrong.contains("it belongs to user 12345"), "{wrong}");
        }
    }
}
