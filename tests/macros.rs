//! What the macros accept, and what they say about misuse.
//!
//! The messages are in the files `.stderr` below `tests/ui`. After a change that is meant:
//! `TRYBUILD=overwrite cargo test --all-features --test macros`.

#[test]
fn misuse_is_explained_at_the_right_token() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
    // Where `lambda::run` is another one, the compiler says which `run` it means.
    if cfg!(feature = "lambda") {
        cases.compile_fail("tests/ui/lambda/*.rs");
    }
}
