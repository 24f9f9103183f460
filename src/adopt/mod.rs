//! A process that a launcher of others has started takes part: it learns where such processes meet, and
//! the token.

mod folder;
mod pmi;

pub(crate) use folder::JobFolder;

use std::{env, path::PathBuf, sync::Arc};

use fmi_actors::{Error, Result};

use crate::config::{Config, Id, Rendezvous, Scheme, Token};

/// Completes what a launcher's environment cannot say. What blocks runs elsewhere.
pub(crate) async fn settle(mut config: Config) -> Result<Config> {
    let Some(launcher) = &config.launcher else { return Ok(config) };
    let own = config.ranks.as_ref().map_or(0, Vec::len);
    let alone = config.size.is_none_or(|size| own >= size);
    let meeting = config.meeting();
    // A server has a token already, which is not for us to choose.
    let server = meeting
        .as_ref()
        .is_some_and(|meeting| matches!(meeting.scheme(), Scheme::Tcp | Scheme::Tls));
    if alone || server || launcher.id == Id::Apart || meeting.is_some() && config.token.is_some() {
        return Ok(config);
    }
    let (id, name, job) = (launcher.id.clone(), launcher.name, config.job.clone());
    let entered = tokio::task::spawn_blocking(move || {
        let id = id_of(&id, name, &job)?;
        Ok::<_, Error>((JobFolder::enter(&home()?, &id)?, id))
    });
    let (folder, id) = entered.await.map_err(|_| Error::Closed { operation: "join" })??;
    if config.job == Config::default().job {
        config.job = id;
    }
    config.token.get_or_insert_with(|| Token::from(folder.token()));
    if meeting.is_none() {
        config.rendezvous = Some(Rendezvous::folder_at(folder.path())?);
    }
    config.folder = Some(Arc::new(folder));
    Ok(config)
}

/// What a launcher calls the job: the name of its folder.
fn id_of(id: &Id, launcher: &str, job: &str) -> Result<String> {
    let named = job != Config::default().job;
    match id {
        Id::Shared(id) => Ok(id.clone()),
        Id::Asked(socket) => match pmi::job(*socket) {
            Ok(name) => Ok(format!("{launcher}-{}", crate::config::file_name(&name))),
            Err(_) if named => Ok(format!("{launcher}-{}", crate::config::file_name(job))),
            Err(wrong) => Err(unnamed(launcher, &wrong)),
        },
        Id::Unknown | Id::Apart if named => {
            Ok(format!("{launcher}-{}", crate::config::file_name(job)))
        }
        Id::Unknown | Id::Apart => Err(unnamed(launcher, "its environment has no name of the job")),
    }
}

fn unnamed(launcher: &str, why: &str) -> Error {
    Error::Config {
        origin: launcher.to_owned(),
        message: format!(
            "it has started this process, but not said which job it belongs to: {why}. Set FMI_JOB to a \
             name that no other job has, the same for all its processes"
        ),
    }
}

fn home() -> Result<PathBuf> {
    let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.filter(|home| home.is_absolute()).ok_or_else(|| Error::Config {
        origin: "HOME".to_owned(),
        message:
            "is not set, and the processes meet below it: set it to a folder that they share, or \
                  FMI_RENDEZVOUS and FMI_TOKEN"
                .to_owned(),
    })
}
