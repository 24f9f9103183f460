//! The `fmi` program from outside: the real binary, real processes, each test with a time limit.

mod bench;
mod bill;
mod doctor;
mod explain;
mod fit;
mod folder;
mod foreign;
mod group;
mod kmeans;
mod model;
mod model_predict;
mod ranks;
#[cfg(feature = "redis")]
mod redis;
mod rendezvous;
mod run;
#[cfg(feature = "s3")]
mod s3;
mod slurm;
mod support;
