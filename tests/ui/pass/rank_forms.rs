//! Every form of program that `#[fmi::rank]` accepts.

use std::process::ExitCode;

mod unit {
    #[fmi::rank]
    pub async fn start(_: fmi::Context) {}
}

mod own_error {
    use std::fmt;

    pub struct TooMany(usize);

    impl fmt::Display for TooMany {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} ranks are too many", self.0)
        }
    }

    impl From<fmi::Error> for TooMany {
        fn from(_: fmi::Error) -> Self {
            Self(0)
        }
    }

    /// `?` converts into the declared error, and `return` leaves the rank's program.
    #[fmi::rank]
    pub async fn start(ctx: fmi::Context) -> Result<(), TooMany> {
        #![allow(clippy::needless_return, reason = "the test is about `return`")]
        ctx.barrier().await?;
        if ctx.size() > 1_000_000 {
            return Err(TooMany(ctx.size()));
        }
        return Ok(());
    }
}

mod renamed {
    mod inner {
        pub use fmi as other;
    }

    #[fmi::rank(crate = self::inner::other)]
    pub async fn start(mut ctx: fmi::Context) -> Result<(), String> {
        let _ = &mut ctx;
        Ok(())
    }
}

/// The usual one, with its attributes.
#[allow(dead_code, reason = "the attribute has to reach the function")]
#[fmi::rank]
async fn main(ctx: fmi::Context) -> fmi::Result<()> {
    let _: [fn() -> ExitCode; 3] = [unit::start, own_error::start, renamed::start];
    let sum = ctx.allreduce(1_u64, fmi::op::sum()).await?;
    assert_eq!(sum, ctx.size() as u64);
    Ok(())
}
