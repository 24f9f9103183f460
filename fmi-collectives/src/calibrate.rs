//! Learning while a job runs: all ranks put together what they have seen, and go on with the same model.

use crate::{Communicator, Operation, Trouble, judge::told, log::Summary, op};
use fmi_actors::{Result, meter::Tier};
use std::{collections::BTreeMap, future::Future, sync::Arc};

impl Communicator {
    /// The same communicator, whose model has learnt from how long collectives took since it was made: a
    /// collective. All ranks get the same model, so that they go on to choose alike. Once after some
    /// hundred calls is enough; who calls it never is never surprised by another plan.
    ///
    /// Of each channel what every message takes, and what its bytes take, are multiplied by a factor, the median
    /// of what was seen: at most twice or half as much at a time, and all together at most 16 times
    /// of what the profile said at first. Of fewer than 8 calls of a kind nothing is learnt, and what is foretold within 5 %
    /// stays. Only collectives for which each rank waits for all others teach anything (`barrier`, `allreduce`, `allgather`,
    /// `alltoall`, `reduce_scatter`), and of those only calls for which all ranks took about as long: to wait for one that is late
    /// says nothing of a network.
    ///
    /// What combines values runs as before, to the last bit, unless
    /// [`reproducible`](crate::plan::price::Market#structfield.reproducible) is off. What has been learnt is
    /// `comm.model()`; the communicator that [`rejoin`](Self::rejoin) makes begins with it, if all of the job
    /// have taken part. Without a [model](Self::with_model) there is nothing to learn.
    ///
    /// ```
    /// # use fmi_collectives as fmi;
    /// # async fn example(mut comm: fmi::Communicator) -> Result<(), fmi_actors::Error> {
    /// comm = comm.calibrate().await?;
    /// if let Some(model) = comm.model() {
    ///     println!("{}", model.market.profile.to_toml());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn calibrate(
        &self,
    ) -> Operation<impl Future<Output = Result<Self, Trouble>> + Send + use<>> {
        let own = self.judge().map_or_else(Summary::default, |judge| judge.log().summary());
        let all = self.allreduce(own, op::whole(op::commutative(Summary::with)));
        let comm = self.clone();
        all.then("calibrate", move |all| Ok(comm.after(&all)))
    }

    /// With what these have seen. It depends on that and the market alone, which are the same on all ranks.
    fn after(&self, seen: &Summary) -> Self {
        let Some(model) = self.model() else { return self.clone() };
        let mut lessons: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for tier in Tier::ALL {
            lessons.entry(self.channel(tier).to_owned()).or_default().extend(seen.lessons(tier));
        }
        let Some(market) = model.market.learn(&lessons) else { return self.clone() };
        let text: Arc<str> = market.to_text().into();
        let group = self.group();
        if group == *self.node().world() {
            self.node().set_learnt(Arc::clone(&text));
        }
        // Ranks of one process share it, and what they find out with it.
        let market = told(&text).unwrap_or_else(|| Arc::new(market));
        self.with_model(&market)
    }
}
