//! What the tests share: a lab with a rendezvous, and a pair of processes in it.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use nat_tests::{
    job::{Job, Process, Rendezvous},
    lab::{Builder, Lab, missing},
    report::{Ended, Linked, Report},
};

/// The program that the tests start.
pub const PEER: &str = env!("CARGO_BIN_EXE_nat-peer");

/// A lab and a rendezvous in it.
#[derive(Debug)]
pub struct World {
    // Ends before the lab does.
    pub rendezvous: Rendezvous,
    pub lab: Lab,
}

impl World {
    /// Nothing where there can be no lab; says why.
    pub fn new(builder: Builder) -> Option<Self> {
        if let Some(missing) = missing() {
            eprintln!("skipped: {missing}");
            return None;
        }
        let lab = builder.build().expect("no lab");
        let rendezvous = Rendezvous::start(&lab);
        Some(Self { rendezvous, lab })
    }

    /// A process on each host, with the same task.
    pub fn start(&self, job: &Job, task: &[&str]) -> Vec<Process> {
        job.start_all(&self.rendezvous, self.lab.hosts(), task)
    }
}

/// The report of a link that is up.
pub fn linked(report: &Report) -> Option<Linked> {
    match report {
        Report::Linked(linked) => Some(linked.clone()),
        _ => None,
    }
}

/// The report that all links are up, and which they are.
pub fn mesh(report: &Report) -> Option<Vec<Ended>> {
    match report {
        Report::Mesh { links, .. } => Some(links.clone()),
        _ => None,
    }
}

/// The report that this part has arrived.
pub fn arrived(report: &Report, part: u64) -> Option<()> {
    matches!(report, Report::Progress { percent } if *percent >= part).then_some(())
}

/// The report that all has arrived, and after how many milliseconds.
pub fn transferred(report: &Report) -> Option<f64> {
    match report {
        Report::Transferred { ms } => Some(*ms),
        _ => None,
    }
}

/// The report of a failure, and the rank that it names.
pub fn failed(report: &Report) -> Option<(String, Option<usize>)> {
    match report {
        Report::Failed { error, names } => Some((error.clone(), *names)),
        _ => None,
    }
}

/// Lets all leave.
pub fn leave(processes: Vec<Process>) {
    // All are told before any is waited for: they leave together.
    let threads = processes.into_iter().map(|process| std::thread::spawn(|| process.leave()));
    for thread in threads.collect::<Vec<_>>() {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
