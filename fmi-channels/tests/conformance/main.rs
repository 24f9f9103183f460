//! The conformance suite over every channel that is built in.

mod local {
    use fmi_actors::{Member, Node, Place, Settings};
    use fmi_channels::{conformance::Wire, conformance_suite, local::LocalLink};
    use std::sync::Arc;

    conformance_suite!(Local);

    /// All ranks in one process.
    #[derive(Debug)]
    struct Local;

    impl Wire for Local {
        fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
            let ranks = (0..processes.iter().sum::<usize>() as u32).collect();
            let member = Member { ranks, ..Member::default() };
            let place =
                Place { process: 0, epoch: 1, members: vec![member], model: Arc::default() };
            let node = Node::new(place, Vec::new(), &[], settings.clone());
            LocalLink::attach(&node);
            vec![node]
        }

        fn cut(&self, _: &Arc<Node>, _: &Arc<Node>) -> bool {
            false
        }
    }
}

#[cfg(feature = "s3")]
#[path = "../s3/job.rs"]
#[allow(dead_code, reason = "the tests of the channel itself use more of it")]
mod job;
#[cfg(feature = "tcp")]
mod met;
#[cfg(feature = "tcp")]
mod proxy;
#[cfg(feature = "quic")]
mod quic;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "tcp")]
mod relay;
#[cfg(feature = "s3")]
mod s3;
#[cfg(all(feature = "shm", target_os = "linux"))]
mod shm;
mod sim;
#[cfg(feature = "tcp")]
mod tcp;
