#[derive(fmi::Protocol)]
#[protocol(output = f64)]
struct Mean {
    x: f64,
}

fn main() {
    let _ = Mean { x: 1.0 }.x;
}
