//! `#[derive(fmi::Protocol)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Result, Type, meta::ParseNestedMeta, parse_quote,
    spanned::Spanned,
};

use crate::CratePath;

const USAGE: &str = "say what `run` gives: `#[protocol(output = f64)]`";

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    try_expand(input).unwrap_or_else(Error::into_compile_error)
}

fn try_expand(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    if let Data::Union(union) = &input.data {
        return Err(Error::new_spanned(
            union.union_token,
            "a union cannot be a protocol: nothing says which field is valid",
        ));
    }
    let Attributes { krate: CratePath(krate), output, state } = Attributes::read(&input.attrs)?;
    let name = &input.ident;
    let output = output.ok_or_else(|| Error::new_spanned(name, USAGE))?;

    // Without a state of its own it runs with any. Mistakes in `run` are reported where the
    // attribute says what it should be, a missing `run` at the type.
    let mut generics = input.generics.clone();
    let (own_state, run) = match &state {
        Some(state) => {
            let this = quote_spanned!(state.span()=> state);
            (quote!(#state), call(name.span(), &quote!(self, #this, comm)))
        }
        None => {
            generics.params.push(parse_quote!(__S: ?::core::marker::Sized + ::core::marker::Sync));
            (quote!(__S), call(name.span(), &quote!(self, comm)))
        }
    };
    let parameter = if state.is_some() { quote!(state) } else { quote!(_) };
    let (parameters, _, clause) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let future = quote_spanned! {output.span()=>
        impl ::core::future::Future<Output = ::core::result::Result<#output, #krate::Error>>
            + ::core::marker::Send
    };
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #krate::Protocol<#own_state> for #name #arguments #clause {
            type Output = #output;

            fn enact(self, #parameter: &#own_state, comm: &#krate::Communicator) -> #future {
                #run
            }
        }
    })
}

/// `Self::run(…)`, of which the compiler speaks as if it stood at `span`.
fn call(span: Span, arguments: &TokenStream) -> TokenStream {
    // Still known as generated, so that the compiler proposes no changes to the type's name.
    let span = Span::call_site().located_at(span);
    quote_spanned!(span=> Self::run(#arguments))
}

/// What `#[protocol(…)]` says.
#[derive(Default)]
struct Attributes {
    krate: CratePath,
    output: Option<Type>,
    state: Option<Type>,
}

impl Attributes {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("protocol"))
        {
            attribute.parse_nested_meta(|meta| all.read_one(&meta))?;
        }
        Ok(all)
    }

    fn read_one(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let (place, key) = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("output") => (&mut self.output, "output"),
            Some("state") => (&mut self.state, "state"),
            Some("crate") => return self.krate.parse(meta),
            _ => return Err(meta.error("unknown key: `output`, `state` and `crate` are known")),
        };
        if place.is_some() {
            return Err(meta.error(format!("`{key}` is said twice")));
        }
        *place = Some(meta.value()?.parse()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expands(input: TokenStream, expected: TokenStream) {
        assert_eq!(try_expand(input).unwrap().to_string(), expected.to_string());
    }

    #[track_caller]
    fn refuses(input: TokenStream, expected: &str) {
        assert!(try_expand(input).unwrap_err().to_string().starts_with(expected));
    }

    #[test]
    fn without_a_state_it_runs_with_any() {
        expands(
            quote! {
                #[protocol(output = f64)]
                struct Mean {
                    x: f64,
                }
            },
            quote! {
                #[automatically_derived]
                impl<__S: ?::core::marker::Sized + ::core::marker::Sync> ::fmi::Protocol<__S> for Mean {
                    type Output = f64;

                    fn enact(self, _: &__S, comm: &::fmi::Communicator)
                        -> impl ::core::future::Future<
                            Output = ::core::result::Result<f64, ::fmi::Error>>
                            + ::core::marker::Send
                    {
                        Self::run(self, comm)
                    }
                }
            },
        );
    }

    #[test]
    fn state_crate_and_generics_are_kept() {
        expands(
            quote! {
                #[protocol(state = Table<T>, output = Vec<T>)]
                #[protocol(crate = crate::inner)]
                struct Find<'a, T: Ord = u8, const N: usize = 2>(&'a T, [u8; N])
                where
                    T: Sync;
            },
            quote! {
                #[automatically_derived]
                impl<'a, T: Ord, const N: usize> crate::inner::Protocol< Table<T> > for Find<'a, T, N>
                where
                    T: Sync
                {
                    type Output = Vec<T>;

                    fn enact(self, state: &Table<T>, comm: &crate::inner::Communicator)
                        -> impl ::core::future::Future<
                            Output = ::core::result::Result<Vec<T>, crate::inner::Error>>
                            + ::core::marker::Send
                    {
                        Self::run(self, state, comm)
                    }
                }
            },
        );
    }

    #[test]
    fn refuses_what_says_too_little_or_too_much() {
        refuses(
            quote!(
                struct Mean;
            ),
            USAGE,
        );
        refuses(
            quote!(
                #[protocol(result = f64)]
                struct Mean;
            ),
            "unknown key",
        );
        refuses(
            quote!(
                #[protocol(output = f64, output = f32)]
                struct Mean;
            ),
            "`output` is said twice",
        );
        refuses(
            quote!(
                #[protocol(output = f64)]
                union Bits {
                    a: u32,
                }
            ),
            "a union cannot be a protocol",
        );
    }
}
