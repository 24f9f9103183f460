//! The macros of `fmi`: [`macro@rank`] and [`macro@Message`].
//!
//! Use them through `fmi` (`#[fmi::rank]`, `#[derive(fmi::Message)]`). What they emit says
//! `::fmi::…`; where `fmi` goes by another name, `crate = path` replaces it.

use proc_macro::TokenStream;
use syn::{Path, meta::ParseNestedMeta, parse_quote};

mod message;
mod rank;

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
