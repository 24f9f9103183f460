//! What the suite asks of a place.

use fmi_channels::directory::Shared;
use std::{future::Future, time::Duration};

/// A place of a test's own.
pub(crate) trait Ground {
    fn directory(&self, token: &str) -> Shared;

    /// After so long without a sign of life a process there is dead.
    fn silent(&self) -> Duration;

    /// How finely its clock tells times apart.
    fn tick(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// The names of all that is there, `…/RUN/WHAT`.
    fn left(&self) -> impl Future<Output = Vec<String>>;

    fn read(&self, name: &str) -> impl Future<Output = Vec<u8>>;

    fn write(&self, name: &str, content: &[u8]) -> impl Future<Output = ()>;

    /// Takes all away.
    fn empty(&self) -> impl Future<Output = ()>;
}

/// Runs the suite on a place.
macro_rules! suite {
    ($ground:expr, $($test:ident$(($argument:expr))?),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                let Some(ground) = $ground else { return };
                $crate::suite::$test(&ground $(, $argument)?).await;
            }
        )*
    };
    ($ground:expr) => {
        $crate::ground::suite!(
            $ground,
            all_find_each_other_and_leave_nothing,
            runs_follow_each_other(10),
            ranks_are_numbered_and_jobs_kept_apart,
            all_take_the_model_of_the_first_who_has_one,
            deaths_departures_and_failures_are_told,
            a_run_waits_until_the_one_before_is_dead,
            who_died_while_it_waited_is_replaced,
            who_does_not_fit_is_told_so,
            another_token_is_noticed,
            a_rejoin_is_refused_clearly,
            foreign_contents_are_nobodys,
            a_place_that_is_emptied_is_told,
        );
    };
}
pub(crate) use suite;
