//! The macros of `fmi`: [`macro@rank`], [`macro@test`], [`macro@Message`] and [`macro@Protocol`].
//!
//! Use them through `fmi` (`#[fmi::rank]`, `#[derive(fmi::Protocol)]`). What they emit says
//! `::fmi::…`; where `fmi` goes by another name, `crate = path` replaces it.

use proc_macro::TokenStream;
use syn::{Path, meta::ParseNestedMeta, parse_quote};

mod message;
mod protocol;
mod rank;
mod test;

/// Makes an `async fn` of one `fmi::Context` the program of every rank.
///
/// ```no_run
/// use fmi::prelude::*;
///
/// /// Adds up the ranks' numbers.
/// #[fmi::rank]
/// async fn main(ctx: fmi::Context) -> fmi::Result<()> {
///     let sum = ctx.allreduce(ctx.rank() as u64, op::sum()).await?;
///     println!("rank {}: {sum}", ctx.rank());
///     Ok(())
/// }
/// ```
///
/// # Expansion
///
/// Exactly this; attributes, docs, visibility and the parameter stay as you wrote them:
///
/// ```no_run
/// # use fmi::prelude::*;
/// #
/// /// Adds up the ranks' numbers.
/// fn main() -> ::std::process::ExitCode {
///     ::fmi::run(async |ctx: fmi::Context| -> fmi::Result<()> {
///         let sum = ctx.allreduce(ctx.rank() as u64, op::sum()).await?;
///         println!("rank {}: {sum}", ctx.rank());
///         Ok(())
///     })
/// }
/// ```
///
/// # Return type
///
/// Nothing, or `Result<(), E>` with any `E: Display`. The program's exit code is 0 only if every
/// rank of the process returned `()` or `Ok(())`.
///
/// # Arguments
///
/// `#[fmi::rank(crate = path)]` calls `path::run` instead of `::fmi::run`.
#[proc_macro_attribute]
pub fn rank(args: TokenStream, item: TokenStream) -> TokenStream {
    rank::expand(args.into(), item.into()).into()
}

/// Makes a serde type a message: something ranks can send, and that collectives can carry.
///
/// The type owns its data (no lifetime parameters) and derives serde's `Serialize` and
/// `Deserialize`.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, fmi::Message)]
/// struct Shard {
///     first_row: usize,
///     assignments: Vec<u32>,
/// }
/// ```
///
/// # Expansion
///
/// All methods of the trait are provided, so the implementation is empty:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #
/// # #[derive(Serialize, Deserialize)]
/// # struct Shard {
/// #     first_row: usize,
/// #     assignments: Vec<u32>,
/// # }
/// impl ::fmi::Message for Shard {}
/// ```
///
/// A generic type asks of each type parameter what the trait asks of the type:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #
/// #[derive(Serialize, Deserialize, fmi::Message)]
/// enum Update<T> {
///     Keep,
///     Replace(T),
/// }
/// ```
///
/// becomes
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #
/// # #[derive(Serialize, Deserialize)]
/// # enum Update<T> {
/// #     Keep,
/// #     Replace(T),
/// # }
/// impl<T> ::fmi::Message for Update<T>
/// where
///     T: ::fmi::__private::Serialize
///         + ::fmi::__private::DeserializeOwned
///         + ::core::marker::Send
///         + 'static,
/// {
/// }
/// ```
///
/// (`__private` holds serde's traits, so that your crate may name serde as it likes.) A type with
/// `#[serde(bound = …)]` of its own needs other bounds: write that one line by hand.
///
/// # Attributes
///
/// `#[message(crate = path)]` implements `path::Message` instead of `::fmi::Message`.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    message::expand(input.into()).into()
}

/// Makes an `async fn` of one `fmi::Context` a test that runs on several ranks of this process.
///
/// ```
/// use fmi::prelude::*;
///
/// #[fmi::test(ranks = 5)]
/// async fn everybody_is_counted(ctx: fmi::Context) -> fmi::Result<()> {
///     assert_eq!(ctx.allreduce(1_u64, op::sum()).await?, 5);
///     Ok(())
/// }
/// ```
///
/// # Expansion
///
/// Exactly this; other attributes (`#[ignore]`, `#[should_panic]`), docs and visibility stay as
/// you wrote them:
///
/// ```
/// # use fmi::prelude::*;
/// #
/// #[::core::prelude::v1::test]
/// fn everybody_is_counted() {
///     ::fmi::testing::on_ranks(5, async |ctx: fmi::Context| -> fmi::Result<()> {
///         assert_eq!(ctx.allreduce(1_u64, op::sum()).await?, 5);
///         Ok(())
///     })
/// }
/// ```
///
/// # Failures
///
/// The test fails with the message of the rank that failed first, by a panic or an error of any
/// type that is `Display`. An operation that waits for a minute fails, too. Tests may run side by
/// side in one process.
///
/// # Arguments
///
/// `ranks = N`, a literal or a constant, is required. `crate = path` calls `path::testing::on_ranks`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(args.into(), item.into()).into()
}

/// Makes a struct or enum a protocol: a collective of your own, that all ranks `call`.
///
/// Its fields are one rank's input. An inherent `async fn run` says what to do:
///
/// ```
/// use fmi::prelude::*;
///
/// /// Mean over all ranks of one number each.
/// #[derive(fmi::Protocol)]
/// #[protocol(output = f64)]
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
/// # async fn example(ctx: fmi::Context, x: f64) -> fmi::Result<()> {
/// let mean = ctx.call(Mean { x }).await?;
/// # Ok(()) }
/// ```
///
/// # Expansion
///
/// ```
/// # use fmi::prelude::*;
/// #
/// # struct Mean {
/// #     x: f64,
/// # }
/// #
/// # impl Mean {
/// #     async fn run(self, comm: &Communicator) -> fmi::Result<f64> {
/// #         Ok(comm.allreduce(self.x, op::sum()).await? / comm.size() as f64)
/// #     }
/// # }
/// impl<__S: ?::core::marker::Sized + ::core::marker::Sync> ::fmi::Protocol<__S> for Mean {
///     type Output = f64;
///
///     fn enact(
///         self,
///         _: &__S,
///         comm: &::fmi::Communicator,
///     ) -> impl ::core::future::Future<Output = ::core::result::Result<f64, ::fmi::Error>>
///            + ::core::marker::Send {
///         Self::run(self, comm)
///     }
/// }
/// ```
///
/// With `state = S` it runs with that state only, and gets it:
///
/// ```
/// use fmi::{Communicator, op};
/// use serde::{Deserialize, Serialize};
///
/// /// How often a word is in the texts that the ranks hold.
/// #[derive(Serialize, Deserialize, fmi::Protocol)]
/// #[protocol(output = usize, state = Vec<String>)]
/// struct Count {
///     word: String,
/// }
///
/// impl Count {
///     async fn run(self, texts: &Vec<String>, comm: &Communicator) -> fmi::Result<usize> {
///         let here = texts.iter().map(|text| text.matches(&self.word).count()).sum();
///         comm.allreduce(here, op::sum()).await
///     }
/// }
/// ```
///
/// becomes
///
/// ```
/// # use fmi::{Communicator, op};
/// #
/// # struct Count {
/// #     word: String,
/// # }
/// #
/// # impl Count {
/// #     async fn run(self, texts: &Vec<String>, comm: &Communicator) -> fmi::Result<usize> {
/// #         let here = texts.iter().map(|text| text.matches(&self.word).count()).sum();
/// #         comm.allreduce(here, op::sum()).await
/// #     }
/// # }
/// impl ::fmi::Protocol<Vec<String>> for Count {
///     type Output = usize;
///
///     fn enact(
///         self,
///         state: &Vec<String>,
///         comm: &::fmi::Communicator,
///     ) -> impl ::core::future::Future<Output = ::core::result::Result<usize, ::fmi::Error>>
///            + ::core::marker::Send {
///         Self::run(self, state, comm)
///     }
/// }
/// ```
///
/// Lifetimes, type and const parameters and where-clauses are those of the type. The future of
/// `run` must be `Send`. A `call` needs no serde; what is asked of other ranks (`Driver::ask`,
/// `Worker::on`) derives `Serialize` and `Deserialize`, too, and borrows nothing.
///
/// # Attributes
///
/// `#[protocol(output = T)]`: `run` gives `fmi::Result<T>`. `#[protocol(state = S)]`: `run` gets a
/// `&S`. `#[protocol(crate = path)]` implements `path::Protocol` instead of `::fmi::Protocol`.
#[proc_macro_derive(Protocol, attributes(protocol))]
pub fn derive_protocol(input: TokenStream) -> TokenStream {
    protocol::expand(input.into()).into()
}

/// The path that the expansion starts with.
struct CratePath(Path);

impl Default for CratePath {
    fn default() -> Self {
        Self(parse_quote!(::fmi))
    }
}

impl CratePath {
    /// Reads `crate = path`, the one argument that our attributes take.
    fn parse(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if !meta.path.is_ident("crate") {
            return Err(meta.error("unknown argument: `crate = path` is the only one"));
        }
        self.0 = meta.value()?.call(Path::parse_mod_style)?;
        Ok(())
    }
}
