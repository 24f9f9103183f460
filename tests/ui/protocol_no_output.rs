#[derive(fmi::Protocol)]
struct Mean {
    x: f64,
}

fn main() {}
