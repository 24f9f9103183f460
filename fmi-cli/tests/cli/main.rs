//! The `fmi` program from outside: the real binary, real processes, each test with a time limit.

mod bench;
mod bill;
mod doctor;
mod explain;
mod folder;
mod ranks;
mod rendezvous;
mod run;
mod support;
