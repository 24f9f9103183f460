//! Protocols: collectives that users write, called by all ranks or asked of those that serve.

mod call;
mod driver;
mod line;
mod lineage;
mod request;
mod stage;
mod worker;

pub use driver::Driver;
pub use request::Request;
pub use worker::Worker;

pub(crate) use lineage::Lineage;

use crate::Communicator;
use fmi_actors::Result;
use std::future::Future;

/// A collective of your own: a struct whose fields are one rank's input.
///
/// `#[derive(fmi::Protocol)]` implements it, with an inherent `run` that is ordinary async code
/// over messages, collectives and other protocols. [`Communicator::call`] runs it on all ranks
/// of a communicator; [`Driver::ask`] runs it on ranks that [serve](Worker::serve).
///
/// ```
/// # use fmi_collectives as fmi;
/// use fmi::{Communicator, op};
///
/// /// Mean over all ranks of one number each.
/// struct Mean {
///     x: f64,
/// }
///
/// impl Mean {
///     async fn run(self, comm: &Communicator) -> fmi::Result<f64> {
///         Ok(comm.allreduce(self.x, op::sum()).await? / comm.size() as f64)
///     }
/// }
///
/// // What #[derive(fmi::Protocol)] #[protocol(output = f64)] writes:
/// impl<S: ?Sized + Sync> fmi::Protocol<S> for Mean {
///     type Output = f64;
///
///     fn enact(
///         self,
///         _: &S,
///         comm: &Communicator,
///     ) -> impl Future<Output = fmi::Result<f64>> + Send {
///         Self::run(self, comm)
///     }
/// }
/// ```
///
/// # State
///
/// `S` is what the rank has besides the message: a table, a model, a connection. A protocol
/// without state is one for every `S`, so that ranks with any state can serve it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no protocol that runs with the state `{S}`",
    note = "`#[derive(fmi::Protocol)]` with `#[protocol(output = …)]` runs with any state, and \
            with `#[protocol(output = …, state = {S})]` with this one",
    note = "a protocol that has a state is called by `call_with(protocol, &state)`"
)]
pub trait Protocol<S: ?Sized + Sync = ()>: Send + Sized {
    /// What each rank gets.
    type Output: Send;

    /// This rank's part. `comm` has the ranks of the communicator that it was called on, but
    /// messages and collectives that live only as long as the call.
    ///
    /// Not called `run`: a derive that found no inherent `run` would call itself.
    fn enact(
        self,
        state: &S,
        comm: &Communicator,
    ) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// A type's name without modules and parameters, for errors.
fn name<P>() -> &'static str {
    let full = std::any::type_name::<P>();
    let plain = full.split('<').next().unwrap_or(full);
    plain.rsplit("::").next().unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_have_no_modules() {
        assert_eq!(name::<std::collections::HashMap<String, Vec<u8>>>(), "HashMap");
        assert_eq!(name::<u8>(), "u8");
    }
}
