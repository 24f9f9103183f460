#[derive(fmi::Protocol)]
#[protocol(result = f64)]
struct Mean {
    x: f64,
}

fn main() {}
