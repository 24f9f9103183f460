//! Names in a folder that all processes of a job can write to.
//!
//! ```text
//! FOLDER/fmi-JOB/RUN/WHAT
//! ```
//!
//! JOB is a hash of the job's name. What must exist once is made by linking a whole file to its
//! name, which fails if the name is there. Ages are measured by the folder's own clock: the time
//! that it gives to what is written now. Whoever may write to the folder can take files away: that
//! ends a job, no more.

use super::names::{Found, Names, Pace, Result, Trouble};
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A job's part of a folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Of all jobs.
    parent: PathBuf,
    home: PathBuf,
}

/// After so long without any change a job's folder is a leftover. The longest silence of a process
/// that lives is a quarter of it.
const EXPIRY: Duration = Duration::from_secs(3600);
/// More files are not looked at.
const MOST: usize = 1 << 16;
/// Others may take the folder away while we write to it.
const TRIES: usize = 100;

impl Folder {
    /// Takes away what dead jobs have left there, too.
    pub(super) async fn open(parent: &Path, job: &str) -> Result<Self> {
        let hash = Sha256::digest(job.as_bytes());
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let folder = Self { parent: parent.to_owned(), home: parent.join(format!("fmi-{hex}")) };
        let opened = folder.clone();
        blocking(move || {
            if !opened.parent.is_dir() {
                return Err(Trouble::lasting(
                    "there is no such folder: make it, on storage that all processes share",
                ));
            }
            let now = now(&opened.parent)?;
            sweep(&opened.parent, now)?;
            Ok(())
        })
        .await?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn do_list(&self) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        for run in entries(&self.home)? {
            let run_name = run.file_name();
            if !run.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            for file in entries(&run.path())? {
                let what = file.file_name();
                let (Some(run), Some(what)) = (run_name.to_str(), what.to_str()) else { continue };
                // It may go while we look.
                let Ok(at) = file.metadata().and_then(|data| data.modified()) else { continue };
                all.extend(Found::new(&format!("{run}/{what}"), at));
            }
        }
        Ok(all)
    }

    fn do_create(&self, name: &str, content: &[u8]) -> Result<Option<SystemTime>> {
        let path = self.path(name);
        for _ in 0..TRIES {
            for folder in [Some(self.home.as_path()), path.parent()].into_iter().flatten() {
                match fs::create_dir(folder) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    made => made?,
                }
            }
            match publish(&path, content) {
                Ok(true) => match fs::metadata(&path).and_then(|data| data.modified()) {
                    Ok(at) => return Ok(Some(at)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                },
                Ok(false) => return Ok(None),
                // Who left last has taken the folder away under us.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::lasting("others keep taking the job's folder away"))
    }

    fn do_renew(&self, name: &str, content: &[u8]) -> Result<Option<SystemTime>> {
        let path = self.path(name);
        if !path.exists() {
            return Ok(None);
        }
        let renewed = write(&path, content).and_then(|whole| {
            fs::rename(&whole, &path).inspect_err(|_| drop(fs::remove_file(&whole)))?;
            fs::metadata(&path)?.modified()
        });
        present(renewed)
    }

    fn do_read(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        let read = || {
            if !fs::metadata(&path)?.is_file() {
                return Ok(Vec::new());
            }
            let mut bytes = Vec::new();
            File::open(&path)?.take(most as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        present(read())
    }

    fn do_delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        present(fs::remove_file(&path))?;
        self.tidy(path.parent());
        Ok(())
    }

    fn do_clear(&self, run: u64) -> Result<()> {
        let path = self.home.join(format!("{run:016x}"));
        let gone = remove(&self.parent, &path);
        self.tidy(None);
        present(gone).map(drop)
    }

    /// Takes folders away that are empty.
    fn tidy(&self, run: Option<&Path>) {
        for folder in [run, Some(&self.home)].into_iter().flatten() {
            // Fails if something is in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Names for Folder {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>> {
        let folder = self.clone();
        Box::pin(blocking(move || folder.do_list()))
    }

    fn read<'a>(&'a self, name: &'a str, most: usize) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        let (folder, name) = (self.clone(), name.to_owned());
        Box::pin(blocking(move || folder.do_read(&name, most)))
    }

    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        let (folder, name) = (self.clone(), name.to_owned());
        Box::pin(blocking(move || folder.do_create(&name, &content)))
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        let (folder, name) = (self.clone(), name.to_owned());
        Box::pin(blocking(move || folder.do_renew(&name, &content)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        let (folder, name) = (self.clone(), name.to_owned());
        Box::pin(blocking(move || folder.do_delete(&name)))
    }

    fn clear(&self, run: u64) -> BoxFuture<'_, Result<()>> {
        let folder = self.clone();
        Box::pin(blocking(move || folder.do_clear(run)))
    }

    fn now(&self) -> BoxFuture<'_, Result<SystemTime>> {
        let parent = self.parent.clone();
        Box::pin(blocking(move || Ok(now(&parent)?)))
    }

    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        Pace { forming: (ms(5), ms(250)), running: (ms(20), ms(500)), silence: ms(50) }
    }
}

/// What is in a folder, should it be there.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    let all = present(fs::read_dir(folder))?;
    Ok(all.into_iter().flatten().take(MOST).flatten().collect())
}

/// `None` for what is not there.
fn present<T>(result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes away what jobs have left that gave no sign of life for an hour.
fn sweep(folder: &Path, now: SystemTime) -> Result<()> {
    for job in entries(folder)? {
        if !job.file_name().to_string_lossy().starts_with("fmi-") {
            continue;
        }
        let youngest = youngest(&job.path(), 2);
        if youngest.is_some_and(|at| now.duration_since(at).unwrap_or_default() > EXPIRY) {
            let _ = remove(folder, &job.path());
        }
    }
    Ok(())
}

/// When something in a folder changed last.
fn youngest(path: &Path, depth: u32) -> Option<SystemTime> {
    let own = fs::symlink_metadata(path).ok()?;
    let inside = match depth {
        0 => None,
        _ if !own.is_dir() => None,
        _ => {
            let all = fs::read_dir(path).ok()?.take(MOST).flatten();
            all.filter_map(|found| youngest(&found.path(), depth - 1)).max()
        }
    };
    own.modified().ok().max(inside)
}

/// Takes a folder away in one step for all who look, then in fact.
fn remove(parent: &Path, path: &Path) -> io::Result<()> {
    let away = parent.join(unique()?);
    fs::rename(path, &away)?;
    fs::remove_dir_all(away)
}

/// What time it is in a folder.
fn now(folder: &Path) -> io::Result<SystemTime> {
    let path = folder.join(unique()?);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(b"fmi")?;
        file.sync_all()?;
        file.metadata()?.modified()
    });
    let _ = fs::remove_file(&path);
    written
}

/// Writes a whole file beside another, under a name that nobody looks at.
fn write(beside: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let path = beside.with_file_name(unique()?);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.inspect_err(|_| drop(fs::remove_file(&path)))?;
    Ok(path)
}

/// Makes a file, whole, unless the name is there; then false.
fn publish(path: &Path, content: &[u8]) -> io::Result<bool> {
    let whole = write(path, content)?;
    let linked = fs::hard_link(&whole, path);
    let _ = fs::remove_file(&whole);
    let error = match linked {
        Ok(()) => return Ok(true),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AlreadyExists => Ok(false),
        ErrorKind::NotFound => Err(error),
        // No such links here. A file that is not whole yet does not count: it has no MAC.
        _ => match File::create_new(path) {
            Ok(mut file) => file.write_all(content).and_then(|()| file.sync_all()).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// A name that nobody else takes.
fn unique() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!(".{:016x}", u64::from_le_bytes(bytes)))
}

/// Runs what may block on a thread where it harms nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Trouble::lasting)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leftovers_of_dead_jobs_are_swept_away() {
        let scratch = tempfile::tempdir().unwrap();
        let old = scratch.path().join("fmi-0123/000000000000000a");
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("0.entry"), "").unwrap();
        let (theirs, kept) = (scratch.path().join("data"), scratch.path().join("fmi-0123"));
        fs::write(&theirs, "").unwrap();
        let now = now(scratch.path()).unwrap();
        sweep(scratch.path(), now + Duration::from_secs(3500)).unwrap();
        assert!(kept.exists());
        sweep(scratch.path(), now + Duration::from_secs(3700)).unwrap();
        assert!(!kept.exists() && theirs.exists());
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there() {
        let scratch = tempfile::tempdir().unwrap();
        let wrong = Folder::open(&scratch.path().join("nowhere"), "job").await.unwrap_err();
        assert!(wrong.reason.contains("there is no such folder"), "{wrong}");
    }
}
