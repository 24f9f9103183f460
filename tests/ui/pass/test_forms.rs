//! Every form of test that `#[fmi::test]` accepts.

#![allow(dead_code, reason = "tests are not called here")]

const RANKS: usize = 3;

#[fmi::test(ranks = 2)]
async fn unit(_: fmi::Context) {}

#[fmi::test(ranks = RANKS + 1)]
#[should_panic(expected = "no")]
async fn an_error(ctx: fmi::Context) -> Result<(), &'static str> {
    ctx.barrier().await.map_err(|_| "lost")?;
    Err("no")
}

mod renamed {
    pub use fmi as other;

    #[ignore]
    #[self::other::test(ranks = 1, crate = self::other)]
    pub async fn start(mut ctx: fmi::Context) -> fmi::Result<()> {
        let _ = &mut ctx;
        Ok(())
    }
}

fn main() {}
