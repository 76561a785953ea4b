//! probe
fn main() {
    let t = tch::Tensor::arange(10, (tch::Kind::Float, tch::Device::Cpu));
    println!("{} {}", t.sum(tch::Kind::Float).double_value(&[]), tch::Cuda::is_available());
}
