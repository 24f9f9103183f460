//! Over a folder.

use crate::{
    ground::{Ground, suite},
    suite::{join, registration},
};
use fmi_channels::{directory::Shared, handshake::Token, rendezvous::Ranks};
use std::{fs, path::Path, time::Duration};

struct Folder(tempfile::TempDir);

fn folder() -> Option<Folder> {
    Some(Folder(tempfile::tempdir().unwrap()))
}

impl Ground for Folder {
    fn directory(&self, token: &str) -> Shared {
        Shared::folder(self.0.path(), Token::new(token), self.silent())
    }

    fn silent(&self) -> Duration {
        Duration::from_millis(800)
    }

    async fn left(&self) -> Vec<String> {
        fn walk(path: &Path, all: &mut Vec<String>) {
            for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => walk(&entry.path(), all),
                    false => all.push(entry.path().to_str().unwrap().to_owned()),
                }
            }
        }
        let mut all = Vec::new();
        walk(self.0.path(), &mut all);
        all
    }

    async fn read(&self, name: &str) -> Vec<u8> {
        fs::read(name).unwrap()
    }

    async fn write(&self, name: &str, content: &[u8]) {
        fs::write(name, content).unwrap();
    }

    async fn empty(&self) {
        for entry in fs::read_dir(self.0.path()).unwrap().map(Result::unwrap) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

suite!(folder());

#[tokio::test]
async fn other_files_and_folders_harm_nobody() {
    let folder = folder().unwrap();
    fs::write(folder.0.path().join("notes.txt"), "not ours").unwrap();
    let directory = folder.directory("secret");
    let alone = |job| join(&directory, registration(job, 1, Ranks::Any(1)), Duration::ZERO);
    let (place, _) = alone("job").await.unwrap();
    let left = folder.left().await;
    let entry = left.iter().find(|name| name.ends_with("0.entry")).unwrap();
    let run = Path::new(entry).parent().unwrap();
    fs::create_dir(run.join("4.entry")).unwrap();
    fs::create_dir(run.with_file_name("0000000000000001")).unwrap();
    fs::create_dir(run.with_file_name("0000000000000001").join("roster")).unwrap();
    fs::write(run.with_file_name("more"), "").unwrap();
    let (other, _) = alone("another").await.unwrap();
    place.leave().await;
    other.leave().await;
    assert!(folder.0.path().join("notes.txt").exists());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told() {
    let folder = folder().unwrap();
    let nowhere = folder.0.path().join("nowhere");
    let directory = Shared::folder(nowhere, Token::new("secret"), folder.silent());
    let wrong = join(&directory, registration("job", 1, Ranks::Any(1)), Duration::ZERO).await;
    assert!(wrong.unwrap_err().to_string().contains("there is no such folder"));
}
