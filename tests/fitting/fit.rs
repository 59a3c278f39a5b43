//! Steppers and the training loop, held against numbers from PyTorch 2.5.1 (`torch.optim` on the CPU) and against their own promises.

use super::bits;
use std::ops::ControlFlow;
use tapeless::fit::{Adam, AdamW, History, Matching, Sgd, State, Stepper, Stop, Training};
use tapeless::prelude::*;
use tapeless::{Error, Real, Result, compile};

/// `0.5 (a-1)^2 + (b+2)^2 + 0.25 c^2 + 0.1 (a+b)^4 + 0.05 (b-c)^4 + 0.02 c^4`, with the gradient by these parameters.
fn quartic<T: Real>(wrt: &[&str]) -> Result<Program<T>> {
    let g = Graph::new();
    let (a, b, c) = (g.param("a"), g.param("b"), g.param("c"));
    let quadratic = 0.5 * (a - 1.0).square() + (b + 2.0).square() + 0.25 * c.square();
    let loss = quadratic + 0.1 * (a + b).powi(4) + 0.05 * (b - c).powi(4) + 0.02 * c.powi(4);
    compile(loss, &Options::new().wrt(wrt.iter().copied()))
}

fn no_data<T: Real>(program: &Program<T>) -> Result<Bound<'static, T>> {
    program.bind::<&str, &'static [T]>([])
}

const START: [(&str, f64); 3] = [("a", 1.5), ("b", -0.5), ("c", 2.0)];
/// The steps after which the parameters are compared.
const LOOKED_AT: [usize; 5] = [1, 2, 3, 10, 100];

struct Case<T> {
    name: &'static str,
    stepper: Box<dyn Stepper<T>>,
    expected: [[f64; 3]; 5],
}

fn case<T>(name: &'static str, stepper: Box<dyn Stepper<T>>, expected: [[f64; 3]; 5]) -> Case<T> {
    Case { name, stepper, expected }
}

/// Every combination of settings, with the parameters `torch.optim` gives in `float64` after steps 1, 2, 3, 10 and 100 from (1.5, -0.5, 2).
fn cases<T: Real>() -> Vec<Case<T>> {
    vec![
        // torch.optim.SGD(lr=0.02)
        case(
            "sgd",
            Box::new(Sgd::new(0.02)),
            [
                [1.482, -0.5055, 1.9047],
                [1.464910849823, -0.5167251255801679, 1.8185929321762513],
                [1.4487928550388143, -0.5319313045406223, 1.7398390546620055],
                [1.3607622267909685, -0.6824665976481396, 1.3154477653973444],
                [1.084438534713932, -1.661140243196461, -0.33917780756323407],
            ],
        ),
        // torch.optim.SGD(lr=0.02, momentum=0.9)
        case(
            "sgd momentum",
            Box::new(Sgd::new(0.02).momentum(0.9)),
            [
                [1.482, -0.5055, 1.9047],
                [1.448710849823, -0.5216751255801679, 1.7328229321762512],
                [1.4034028770017772, -0.5559029505937076, 1.5066440707343165],
                [1.0118656335902199, -1.4376737058852447, -0.29929803233654273],
                [1.114852727103235, -1.7770744162704715, -0.6047680979642265],
            ],
        ),
        // torch.optim.SGD(lr=0.02, momentum=0.9, dampening=0.3)
        case(
            "sgd momentum dampening",
            Box::new(Sgd::new(0.02).momentum(0.9).dampening(0.3)),
            [
                [1.482, -0.5055, 1.9047],
                [1.4538375948761, -0.5183075879061175, 1.758655052523376],
                [1.4175524732212297, -0.5428529041099397, 1.5757578815743134],
                [1.0989062956118376, -1.1636053990892947, 0.0968404121212193],
                [1.116154335625406, -1.7838494750077145, -0.6065494847384867],
            ],
        ),
        // torch.optim.SGD(lr=0.02, momentum=0.9, nesterov=True)
        case(
            "sgd nesterov",
            Box::new(Sgd::new(0.02).momentum(0.9).nesterov(true)),
            [
                [1.4658, -0.51045, 1.81893],
                [1.4202660838457184, -0.5453060774656273, 1.5928245493157216],
                [1.3677964131704026, -0.6087265967289738, 1.3430307959320236],
                [1.0198529105629952, -1.547939282315571, -0.29883914577586385],
                [1.1149729586185517, -1.7791886357601245, -0.6060463339637105],
            ],
        ),
        // torch.optim.SGD(lr=0.02, weight_decay=0.1)
        case(
            "sgd weight decay",
            Box::new(Sgd::new(0.02).weight_decay(0.1)),
            [
                [1.479, -0.5045, 1.9007],
                [1.459058526651, -0.5150582700345679, 1.8112488626162193],
                [1.4402293745043533, -0.5297985366474607, 1.729649487791099],
                [1.3362573775765947, -0.6786937983083697, 1.2933911698787253],
                [0.9990240075777189, -1.6020251639669476, -0.30669969890704823],
            ],
        ),
        // torch.optim.SGD(lr=0.02, momentum=0.9, weight_decay=0.1)
        case(
            "sgd momentum weight decay",
            Box::new(Sgd::new(0.02).momentum(0.9).weight_decay(0.1)),
            [
                [1.479, -0.5045, 1.9007],
                [1.4401585266510002, -0.5191082700345679, 1.7218788626162191],
                [1.3872668501934067, -0.5516868699433864, 1.487091907575701],
                [0.9239909215479369, -1.424068987996939, -0.35838508034148153],
                [1.0240138430993624, -1.6948658269977737, -0.5200468466570649],
            ],
        ),
        // torch.optim.SGD(lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1)
        case(
            "sgd nesterov weight decay",
            Box::new(Sgd::new(0.02).momentum(0.9).nesterov(true).weight_decay(0.1)),
            [
                [1.4601, -0.50855, 1.8113299999999999],
                [1.406961827167097, -0.5418209515176136, 1.5766447450554124],
                [1.3455973426404282, -0.6040799571962787, 1.318376229163764],
                [0.930214097900066, -1.5303929414151427, -0.3437285106888989],
                [1.0196886268310896, -1.692686603368509, -0.5191687509890467],
            ],
        ),
        // torch.optim.Adam(lr=0.05)
        case(
            "adam",
            Box::new(Adam::new(0.05)),
            [
                [1.4500000005555556, -0.5499999981818182, 1.9500000001049318],
                [1.4004815343427461, -0.5913225021126154, 1.9000212307599669],
                [1.351738713985089, -0.6155028059388837, 1.85009155767937],
                [1.052605420984237, -0.7759937684233708, 1.5066340091102435],
                [1.1105086161322373, -1.7675481654539922, -0.5608815824953356],
            ],
        ),
        // torch.optim.Adam(lr=0.05, amsgrad=True, betas=(0.8, 0.9))
        case(
            "adam amsgrad",
            Box::new(Adam::new(0.05).amsgrad(true).betas(0.8, 0.9)),
            [
                [1.4500000005555556, -0.5499999981818182, 1.9500000001049318],
                [1.4005151167322916, -0.5899041228769706, 1.900023646530915],
                [1.351853862862873, -0.6113892758078839, 1.8501047224031755],
                [1.072021833475355, -0.7876180530813518, 1.506891747749468],
                [1.0864403192924537, -1.6976617197405288, -0.3311871877333695],
            ],
        ),
        // torch.optim.Adam(lr=0.05, weight_decay=0.1)
        case(
            "adam weight decay",
            Box::new(Adam::new(0.05).weight_decay(0.1)),
            [
                [1.4500000004761904, -0.5499999977777779, 1.950000000100705],
                [1.4003962069763638, -0.5853750610347956, 1.9000218381778176],
                [1.3513965959203067, -0.599935101908459, 1.8501030590907408],
                [1.0412915430970964, -0.7727673220920199, 1.5068833993851132],
                [1.0150471253351636, -1.6849756248046466, -0.4899260113832853],
            ],
        ),
        // torch.optim.Adam(lr=0.05, weight_decay=0.1, amsgrad=True, betas=(0.5, 0.75), eps=0.001)
        case(
            "adam amsgrad weight decay eps",
            Box::new(Adam::new(0.05).weight_decay(0.1).amsgrad(true).betas(0.5, 0.75).eps(1e-3)),
            [
                [1.450047573739296, -0.5497787610619469, 1.950010068465566],
                [1.4010842825836336, -0.5742536347472486, 1.9000968148720259],
                [1.3534127292948253, -0.5844545857362607, 1.8504418431534093],
                [1.1106465651293267, -0.7608005967927106, 1.5167129358978053],
                [0.9786283431334207, -1.5782673238720093, -0.1404519204119809],
            ],
        ),
        // torch.optim.AdamW(lr=0.05)
        case(
            "adamw",
            Box::new(AdamW::new(0.05)),
            [
                [1.4492500005555555, -0.5497499981818182, 1.949000000104932],
                [1.3990129797058688, -0.5912469971023645, 1.8980486820862341],
                [1.3495900035336692, -0.6163578612418211, 1.8471745831207547],
                [1.0473944813077356, -0.7801978437722981, 1.497897006418683],
                [1.1090652737609448, -1.766278133357087, -0.5576648143080433],
            ],
        ),
        // torch.optim.AdamW(lr=0.05, weight_decay=0.1)
        case(
            "adamw weight decay",
            Box::new(AdamW::new(0.05).weight_decay(0.1)),
            [
                [1.4425000005555555, -0.5474999981818183, 1.9400000001049318],
                [1.3858314915972436, -0.5899238297422393, 1.8803417281340824],
                [1.330355866370569, -0.6226273981443187, 1.8210594715025357],
                [1.002044228884738, -0.8172202446662278, 1.4211065364354283],
                [1.0950708094320514, -1.7524003436299422, -0.5214632446151841],
            ],
        ),
        // torch.optim.AdamW(lr=0.05, amsgrad=True, betas=(0.8, 0.9))
        case(
            "adamw amsgrad",
            Box::new(AdamW::new(0.05).amsgrad(true).betas(0.8, 0.9)),
            [
                [1.4492500005555555, -0.5497499981818182, 1.949000000104932],
                [1.3990468935774956, -0.590033562240115, 1.8980513053222363],
                [1.3497080535958423, -0.6123391953044959, 1.8471880060213814],
                [1.067299092298146, -0.7922090445232433, 1.4981694392109866],
                [1.0835633195743877, -1.6977177452498389, -0.3337740051041653],
            ],
        ),
    ]
}

fn assert_close(name: &str, step: usize, found: &[f64], expected: &[f64], tolerance: f64) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * e.abs(), "{name}, step {step}: {found:?}, PyTorch has {expected:?}");
    }
}

fn values<T: Real>(theta: &Params<T>) -> Vec<f64> {
    theta.values().iter().map(|x| x.to_f64()).collect()
}

fn follow<T: Real>(tolerance: f64) -> Result<()> {
    let program = quartic::<T>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    for mut case in cases::<T>() {
        let (mut theta, mut grad) = (program.params(START)?, program.grad_zeros());
        for step in 1..=100 {
            data.value_and_grad_into(&theta, &mut grad)?;
            case.stepper.step(&mut theta, &grad)?;
            if let Some(k) = LOOKED_AT.iter().position(|s| *s == step) {
                assert_close(case.name, step, &values(&theta), &case.expected[k], tolerance);
            }
        }
    }
    Ok(())
}

#[test]
fn every_combination_follows_pytorch() -> Result<()> {
    follow::<f64>(1e-12)?;
    follow::<f32>(1e-5)
}

/// Even steps have a gradient by `a` and `b`, odd multiples of 3 by `c`, the others by all; expected from PyTorch with `grad = None` for the rest.
#[test]
fn parameters_without_a_gradient_stay_and_count_no_step() -> Result<()> {
    let (all, ab, c) = (quartic::<f64>(&["c", "a", "b"])?, quartic::<f64>(&["b", "a"])?, quartic::<f64>(&["c"])?);
    let cases = [
        case(
            "sgd",
            Box::new(Sgd::new(0.02).momentum(0.9).dampening(0.3)),
            [
                [1.482, -0.5055, 1.9047],
                [1.4538375948761, -0.5183075879061175, 1.9047],
                [1.4538375948761, -0.5183075879061175, 1.7580267648286987],
                [1.1848497303461027, -0.8042231184309863, 1.1345924947250896],
                [1.0960012429567618, -1.7235731703342374, -0.4202819113635577],
            ],
        ),
        case(
            "adam",
            Box::new(Adam::new(0.05)),
            [
                [1.4500000005555556, -0.5499999981818182, 1.9500000001049318],
                [1.4004815343427461, -0.5913225021126154, 1.9500000001049318],
                [1.4004815343427461, -0.5913225021126154, 1.899978750347996],
                [1.126269747786045, -0.6100855447572563, 1.7507430169583125],
                [1.0575979503190829, -1.5699195329576756, 0.02331594198632366],
            ],
        ),
        case(
            "adamw amsgrad",
            Box::new(AdamW::new(0.05).amsgrad(true)),
            [
                [1.4492500005555555, -0.5497499981818182, 1.949000000104932],
                [1.3990129797058688, -0.5912469971023645, 1.949000000104932],
                [1.3990129797058688, -0.5912469971023645, 1.8980055014740063],
                [1.1215561065721042, -0.6121735352601183, 1.7460145893216408],
                [1.0573624645501583, -1.575473013712601, 0.008539725276455822],
            ],
        ),
    ];
    for mut case in cases {
        let mut theta = all.params(START)?;
        for step in 1..=100 {
            let program = if step % 2 == 0 {
                &ab
            } else if step % 3 == 0 {
                &c
            } else {
                &all
            };
            let (_, grad) = no_data(program)?.value_and_grad(&theta)?;
            case.stepper.step(&mut theta, &grad)?;
            if let Some(k) = LOOKED_AT.iter().position(|s| *s == step) {
                // `c` passes through 0 at step 100: what is left of it carries the rounding of all steps.
                assert_close(case.name, step, &values(&theta), &case.expected[k], 1e-11);
            }
        }
        let state = case.stepper.state();
        assert_eq!((state.steps, state.counts.as_slice()), (100, &[83, 83, 50][..]), "{}", case.name);
    }
    Ok(())
}

fn continues_to_the_bit<T: Real>() -> Result<()> {
    let program = quartic::<T>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    for (mut straight, (mut first, mut second)) in cases::<T>().into_iter().zip(cases::<T>().into_iter().zip(cases::<T>())) {
        let mut there = program.params(START)?;
        Training::new(&data, &mut straight.stepper).steps(300).run(&mut there)?;

        let mut theta = program.params(START)?;
        Training::new(&data, &mut first.stepper).steps(137).run(&mut theta)?;
        let state = first.stepper.state();
        let text = state.to_string();
        let read: State = text.parse()?;
        assert_eq!((&read, read.to_string()), (&state, text), "{}", first.name);
        second.stepper.set_learning_rate(77.0); // comes from the state
        second.stepper.restore(&read)?;
        let mut training = Training::new(&data, &mut second.stepper).steps(163).first_step(138);
        training.run(&mut theta)?;
        assert_eq!(training.history().rows().map(|r| r.step).collect::<Vec<_>>(), (138..=300).collect::<Vec<_>>());
        assert_eq!(bits(&theta), bits(&there), "{}", first.name);
        assert_eq!(second.stepper.state(), straight.stepper.state(), "{}", first.name);
        // Restored again, a stepper that has gone on goes back.
        second.stepper.restore(&read)?;
        assert_eq!(second.stepper.state(), state);
    }
    Ok(())
}

#[test]
fn a_saved_and_restored_stepper_goes_on_to_the_same_bits() -> Result<()> {
    continues_to_the_bit::<f64>()?;
    continues_to_the_bit::<f32>()
}

fn setting(result: Result<impl Sized>) -> (String, String) {
    match result {
        Err(Error::Setting { name, message }) => (name, message),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn a_foreign_state_is_refused_and_says_why() -> Result<()> {
    let program = quartic::<f64>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    let mut theta = program.params(START)?;
    let (_, grad) = data.value_and_grad(&theta)?;
    let mut adam = Adam::new(0.05);
    let fresh = Stepper::<f64>::state(&adam);
    adam.step(&mut theta, &grad)?;
    let state = adam.state();

    let why = |result| setting(result).1;
    let start = "saved by `adam` and not to be restored here: ";
    assert_eq!(why(Stepper::<f64>::restore(&mut AdamW::new(0.05), &state)), format!("{start}this stepper is `adamw`"));
    assert_eq!(why(Stepper::<f64>::restore(&mut Sgd::new(0.05), &state)), format!("{start}this stepper is `sgd`"));
    assert_eq!(why(Stepper::<f32>::restore(&mut Adam::new(0.05), &state)), format!("{start}its numbers are f64, this stepper's are f32"));
    let named = setting(Stepper::<f64>::restore(&mut Adam::new(0.05).betas(0.8, 0.999), &state));
    assert_eq!(named, ("beta1".into(), "the state was saved with 0.9, this stepper has 0.8".into()));
    assert_eq!(setting(Stepper::<f64>::restore(&mut Adam::new(0.05).amsgrad(true), &state)).0, "amsgrad");
    let mut broken = state.clone();
    broken.vectors[1].1.pop();
    assert_eq!(why(adam.restore(&broken)), format!("{start}`exp_avg_sq` has 2 numbers, the parameters 3"));
    broken.vectors.pop();
    assert_eq!(why(adam.restore(&broken)), format!("{start}it holds 1 vectors, this stepper 2"));
    broken = state.clone();
    broken.counts.clear();
    assert_eq!(why(adam.restore(&broken)), format!("{start}0 counts for 3 parameters"));

    // Parameters laid out otherwise: known at once to a stepper that has taken steps, to a new one at its first step.
    let g = Graph::new();
    let other = (g.param("a") + g.param("c")).square().compile()?;
    let mut there = other.params([("a", 1.0), ("c", 2.0)])?;
    let (_, there_grad) = no_data(&other)?.value_and_grad(&there)?;
    let mut stepped = Adam::new(0.05);
    stepped.step(&mut there, &there_grad)?;
    let before = (stepped.state(), there.clone());
    let layouts = Error::Layout { expected: "a [], c []".into(), found: "a [], b [], c []".into() };
    assert_eq!(stepped.restore(&state), Err(layouts));
    let mut new = Adam::new(0.05);
    new.restore(&state)?;
    assert!(matches!(new.step(&mut there, &there_grad), Err(Error::Layout { .. })));
    assert_eq!((stepped.state(), there), before);
    // A state from before the first step fits everywhere.
    stepped.restore(&fresh)?;
    stepped.step(&mut theta, &grad)?;
    assert_eq!(stepped.state().steps, 1);
    Ok(())
}

#[test]
fn a_gradient_by_other_parameters_is_an_error_and_changes_nothing() -> Result<()> {
    let part = quartic::<f64>(&["b"])?;
    let mut theta = part.params(START)?;
    let (_, grad) = no_data(&part)?.value_and_grad(&theta)?;
    for mut case in cases::<f64>() {
        let before = theta.clone();
        case.stepper.step(&mut theta, &grad)?;
        assert!(theta.scalar("b")? != before.scalar("b")?, "{}", case.name);
        assert_eq!((theta.scalar("a")?, theta.scalar("c")?), (1.5, 2.0), "{}", case.name);
        let g = Graph::new();
        for foreign in [g.param("z").square(), g.param_with("a", &[1]).square().sum()] {
            let before = (theta.clone(), case.stepper.state());
            let wrong = foreign.compile()?.grad_zeros();
            assert!(matches!(case.stepper.step(&mut theta, &wrong), Err(Error::Layout { .. })), "{}", case.name);
            assert_eq!((theta.clone(), case.stepper.state()), before);
        }
    }
    Ok(())
}

#[test]
fn bad_settings_are_errors_that_name_them() -> Result<()> {
    let program = quartic::<f64>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    let theta = program.params(START)?;
    let (_, grad) = data.value_and_grad(&theta)?;
    let bad: Vec<(&str, Box<dyn Stepper<f64>>)> = vec![
        ("learning_rate", Box::new(Sgd::new(-0.1))),
        ("learning_rate", Box::new(Adam::new(f64::NAN))),
        ("learning_rate", Box::new(AdamW::new(f64::INFINITY))),
        ("momentum", Box::new(Sgd::new(0.1).momentum(-0.9))),
        ("dampening", Box::new(Sgd::new(0.1).momentum(0.9).dampening(f64::NAN))),
        ("nesterov", Box::new(Sgd::new(0.1).nesterov(true))),
        ("nesterov", Box::new(Sgd::new(0.1).nesterov(true).momentum(0.9).dampening(0.1))),
        ("weight_decay", Box::new(Sgd::new(0.1).weight_decay(-1.0))),
        ("weight_decay", Box::new(AdamW::new(0.1).weight_decay(f64::NAN))),
        ("beta1", Box::new(Adam::new(0.1).betas(1.0, 0.999))),
        ("beta2", Box::new(Adam::new(0.1).betas(0.9, -0.1))),
        ("beta2", Box::new(AdamW::new(0.1).betas(0.9, f64::NAN))),
        ("eps", Box::new(Adam::new(0.1).eps(-1e-8))),
    ];
    for (name, mut stepper) in bad {
        let mut moved = theta.clone();
        assert_eq!(setting(stepper.step(&mut moved, &grad)).0, name);
        assert_eq!((moved, stepper.state().steps), (theta.clone(), 0));
    }
    assert_eq!(setting(Sgd::<f32>::new(1e300).check()).0, "learning_rate");
    assert!(Sgd::<f64>::new(1e300).check().is_ok() && Adam::<f32>::new(0.0).eps(0.0).betas(0.0, 0.0).check().is_ok());

    let mut theta = theta;
    assert_eq!(setting(Training::new(&data, Sgd::new(0.1)).steps(0).run(&mut theta)).0, "steps");
    assert_eq!(setting(Training::new(&data, Sgd::new(0.1)).patience(0).run(&mut theta)).0, "patience");
    for tolerance in [-1e-9, f64::NAN, f64::INFINITY] {
        assert_eq!(setting(Training::new(&data, Sgd::new(0.1)).tolerance(tolerance).run(&mut theta)).0, "tolerance");
    }
    assert_eq!(setting(Training::new(&data, Sgd::new(f64::NAN)).run(&mut theta)).0, "learning_rate");
    assert_eq!(setting(Training::new(&data, Sgd::new(0.1)).learning_rate(|t| 2.5 - t as f64).run(&mut theta)).0, "learning_rate");
    assert_eq!(setting(Training::new(&no_data(&quartic(&[])?)?, Sgd::new(0.1)).run(&mut theta)).0, "gradient");
    let mut foreign = Params::zeros(quartic::<f64>(&[])?.grad_zeros().layout());
    assert!(matches!(Training::new(&data, Sgd::new(0.1)).run(&mut foreign), Err(Error::Layout { .. })));
    Ok(())
}

const T_C: [f64; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
const T_U: [f64; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];

/// A thermometer of unknown units against one in degrees Celsius: the mean squared error of `w * t_u + b`.
fn thermometer<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    compile((w * t_u + b - t_c).square().mean(), &Options::new())
}

/// Runs it from w = 1, b = 0; loss, w and b with four decimals.
fn calibrated<T: Real>(scale: f64, stepper: impl Stepper<T>, steps: u64) -> Result<[String; 3]> {
    let program = thermometer::<T>()?;
    let t_c = T_C.map(T::from_f64);
    let t_u = T_U.map(|x| T::from_f64(scale) * T::from_f64(x));
    let data = program.bind([("t_u", &t_u), ("t_c", &t_c)])?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut training = Training::new(&data, stepper).steps(steps).record_every(500);
    let outcome = training.run(&mut theta)?;
    assert_eq!((outcome.steps, outcome.reason, training.history().len() as u64), (steps, Stop::Steps, 1 + steps / 500));
    assert_eq!(training.history().last().map(|row| row.loss), Some(outcome.loss));
    Ok([outcome.loss, theta.scalar("w")?, theta.scalar("b")?].map(|x| format!("{:.4}", x.to_f64())))
}

#[test]
fn the_thermometer_is_calibrated_as_in_pytorch() -> Result<()> {
    // torch.float64: 2.92764668660770, [5.36708979805801, -17.30122252100717]; Adam: 2.92764623104690, [0.53672389698562, -17.30206328517682]
    assert_eq!(calibrated::<f64>(0.1, Sgd::new(1e-2), 5000)?, ["2.9276", "5.3671", "-17.3012"]);
    assert_eq!(calibrated::<f32>(0.1, Sgd::new(1e-2), 5000)?, ["2.9276", "5.3671", "-17.3012"]);
    assert_eq!(calibrated::<f64>(1.0, Adam::new(1e-1), 2000)?, ["2.9276", "0.5367", "-17.3021"]);
    assert_eq!(calibrated::<f32>(1.0, Adam::new(1e-1), 2000)?, ["2.9276", "0.5367", "-17.3021"]);
    Ok(())
}

#[test]
fn divergence_stops_at_the_first_infinite_loss_and_names_its_origin() -> Result<()> {
    let program = thermometer::<f32>()?;
    let (t_c, t_u) = (T_C.map(|x| x as f32), T_U.map(|x| x as f32));
    let data = program.bind([("t_u", &t_u), ("t_c", &t_c)])?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut training = Training::new(&data, Sgd::new(1e-2)).steps(100).record_params(true);
    let Err(Error::NonFinite(report)) = training.run(&mut theta) else { panic!("it diverges") };

    // w * t_u + b - t_c reaches 1.87e19 at t_u = 58.2, and its square 3.5e38, beyond the range of f32.
    assert_eq!((report.node.as_str(), report.sample, report.step), ("square", Some(2), Some(11)));
    assert_eq!((report.inputs.len(), report.value), (1, f64::INFINITY));
    assert!((report.inputs[0].1 / (3.214416746244997e17 * 58.2 + 5.662127327019008e15) - 1.0).abs() < 1e-5, "{report}");
    assert!(report.place.is_some_and(|place| place.file.ends_with("fit.rs")));

    let losses: Vec<f64> = training.history().losses().map(f64::from).collect();
    let pytorch = [1763.884644, 5802485.5, 19408035840.0, 64915909902336.0, 2.1713052546105344e17];
    for (found, expected) in losses.iter().zip(pytorch) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{losses:?}");
    }
    // The tenth point was the last good one; the eleventh is kept beside.
    assert_eq!(losses.len(), 10);
    let last = training.history().last().map(|row| (row.step, row.params.to_vec()));
    assert_eq!(last, Some((10, theta.values().to_vec())));
    assert!((f64::from(theta.scalar("w")?) / -5557984570638336.0 - 1.0).abs() < 1e-5);
    let failed = training.failed_at().map(|p| p.get("w").map(|w| f64::from(w[0]) / 3.214416746244997e17 - 1.0));
    assert!(matches!(failed, Some(Ok(off)) if off.abs() < 1e-5), "{failed:?}");
    assert!(data.value(&theta)?.is_finite());

    // Going on from there with a smaller rate: the step is tried again under its number.
    *training.stepper_mut() = Sgd::new(1e-5);
    let mut training = training.steps(3);
    assert_eq!(training.run(&mut theta)?.steps, 3);
    assert_eq!(training.history().rows().map(|r| r.step).skip(9).collect::<Vec<_>>(), [10, 11, 12, 13]);
    assert!(training.failed_at().is_none());
    Ok(())
}

#[test]
fn a_bad_start_an_infinite_gradient_and_an_overshooting_update_are_told_apart() -> Result<()> {
    let g = Graph::new();
    let (x, w) = (g.data("x"), g.param("w"));
    let run = |loss: tapeless::Expr<'_>, start: f64, stepper: Sgd| -> Result<(tapeless::NonFinite, f64, Option<f64>, usize)> {
        let program = loss.compile()?;
        let x = [1.0, 4.0];
        let data = program.bind([("x", &x)])?;
        let mut theta = program.params([("w", start)])?;
        let mut training = Training::new(&data, stepper);
        match training.run(&mut theta) {
            Err(Error::NonFinite(report)) => Ok((*report, theta.scalar("w")?, training.failed_at().map(|p| p.values()[0]), training.history().len())),
            other => panic!("{other:?}"),
        }
    };
    // The first point is bad already: it stays.
    let (report, theta, failed, rows) = run((w - x).ln().sum(), 2.0, Sgd::new(0.1))?;
    assert_eq!((report.node.as_str(), report.sample, report.step, theta, failed, rows), ("ln", Some(1), Some(1), 2.0, Some(2.0), 0));
    assert_eq!((report.inputs[0].1, report.value.is_nan()), (-2.0, true));
    // A finite loss, an infinite gradient: the square root at 0.
    let (report, _, _, rows) = run((w * x).sqrt().sum(), 0.0, Sgd::new(0.1))?;
    assert_eq!((report.step, rows), (Some(1), 0));
    assert!(report.value.is_infinite() && report.place.is_some(), "{report}");
    // Loss and gradient are finite and the step goes out of range.
    let (report, theta, failed, rows) = run((w * x).sum(), 1.0, Sgd::new(1e308))?;
    assert_eq!((report.node.as_str(), report.step, theta, failed, rows), ("update of param `w`", Some(1), 1.0, Some(f64::NEG_INFINITY), 1));
    assert_eq!(report.inputs, [("before".to_string(), 1.0), ("gradient".to_string(), 5.0)]);
    Ok(())
}

#[test]
fn the_loop_stops_by_tolerance_and_by_its_observer() -> Result<()> {
    let program = quartic::<f64>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    let mut theta = program.params(START)?;
    let mut training = Training::new(&data, Sgd::new(0.05)).steps(100_000).tolerance(1e-9).patience(3);
    let outcome = training.run(&mut theta)?;
    assert_eq!(outcome.reason, Stop::Tolerance);
    assert_eq!(data.value(&theta)?, outcome.loss, "no update after the last loss");
    let losses: Vec<f64> = training.history().losses().collect();
    assert_eq!((losses.len() as u64, losses.last()), (outcome.steps, Some(&outcome.loss)));
    let calm: Vec<bool> = losses.windows(2).map(|w| (w[1] - w[0]).abs() <= 1e-9 * w[0].abs().max(w[1].abs())).collect();
    assert_eq!(calm.iter().position(|c| *c), Some(calm.len() - 3));

    let mut theta = program.params(START)?;
    let mut seen = Vec::new();
    let mut training = Training::new(&data, Adam::new(0.05)).record_every(3).learning_rate(|t| 0.1 / t as f64).observe(|p| {
        seen.push((p.step, p.loss, p.learning_rate, p.grad_norm(), p.theta.clone()));
        if p.step == 8 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let outcome = training.run(&mut theta)?;
    assert_eq!((outcome.steps, outcome.reason), (8, Stop::Observer));
    assert_eq!(training.history().rows().map(|r| r.step).collect::<Vec<_>>(), [1, 3, 6, 8]);
    assert_eq!(training.run(&mut theta)?.reason, Stop::Steps, "a further run goes on past step 8");
    drop(training);
    assert_eq!(seen.len(), 1008);
    for (k, (step, loss, rate, norm, at)) in seen.iter().enumerate().take(9) {
        assert_eq!((*step, *rate), (k as u64 + 1, 0.1 / *step as f64));
        let (value, grad) = data.value_and_grad(at)?;
        assert_eq!((*loss, *norm), (value, grad.norm()));
    }
    assert_eq!(seen[7].4, seen[8].4, "breaking off makes no update");
    Ok(())
}

#[test]
fn history_goes_to_csv_and_to_a_table() -> Result<()> {
    let program = quartic::<f64>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    let mut theta = program.params(START)?;
    let mut training = Training::new(&data, Sgd::new(0.02)).steps(2).record_params(true);
    training.run(&mut theta)?;
    let history: &History = training.history();
    let mut csv = Vec::new();
    history.to_csv(&mut csv).expect("a Vec takes all");
    let text = String::from_utf8_lossy(&csv).into_owned();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("step,loss,grad_norm,a,b,c"));
    for (line, row) in lines.zip(history.rows()) {
        let fields: Vec<f64> = line.split(',').filter_map(|f| f.parse().ok()).collect();
        assert_eq!(fields, [&[row.step as f64, row.loss, row.grad_norm], row.params].concat());
    }
    assert_eq!(history.last().map(|r| r.params.to_vec()), Some(vec![1.482, -0.5055, 1.9047]));
    let table = history.to_string();
    assert_eq!(table.lines().count(), 3);
    assert!(table.lines().all(|line| line.len() == table.find('\n').unwrap_or(0)), "{table}");
    Ok(())
}

/// A stepper of somebody else: a fixed step against the gradient's direction.
struct Normalised {
    length: f64,
    matching: Matching,
}

impl<T: Real> Stepper<T> for Normalised {
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
        let scale = T::from_f64(self.length / grad.norm());
        for run in self.matching.begin(theta.layout(), grad.layout())? {
            for (x, g) in theta.values_mut()[run.theta.clone()].iter_mut().zip(&grad.values()[run.grad.clone()]) {
                *x = *x - scale * *g;
            }
        }
        Ok(())
    }
    fn learning_rate(&self) -> f64 {
        self.length
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.length = learning_rate;
    }
    fn state(&self) -> State {
        let mut state = State::new::<T>("normalised", self.length);
        self.matching.save(&mut state);
        state
    }
    fn restore(&mut self, state: &State) -> Result<()> {
        state.check::<T>("normalised", &[], &[])?;
        self.matching.restore(state)?;
        self.length = state.learning_rate;
        Ok(())
    }
}

#[test]
fn anyone_can_write_a_stepper() -> Result<()> {
    let program = quartic::<f64>(&["a", "b", "c"])?;
    let data = no_data(&program)?;
    let mut theta = program.params(START)?;
    let before = theta.clone();
    let mut training = Training::new(&data, Normalised { length: 0.25, matching: Matching::new() }).steps(1);
    training.run(&mut theta)?;
    let moved: f64 = theta.values().iter().zip(before.values()).map(|(a, b)| (a - b).powi(2)).sum();
    assert!((moved.sqrt() - 0.25).abs() < 1e-15);
    let mut training = training.steps(2000).learning_rate(|t| 1.0 / t as f64);
    let outcome = training.run(&mut theta)?;
    let (mut best, mut sgd) = (program.params(START)?, Sgd::new(0.05));
    let lowest = Training::new(&data, &mut sgd).steps(5000).run(&mut best)?;
    assert!(outcome.loss - lowest.loss < 1e-5, "{} and {}", outcome.loss, lowest.loss);
    let state = Stepper::<f64>::state(training.stepper());
    assert_eq!((state.steps, state.counts.as_slice(), state.learning_rate), (2001, &[2001; 3][..], 1.0 / 2001.0));
    let mut other = Normalised { length: 1.0, matching: Matching::new() };
    Stepper::<f64>::restore(&mut other, &state.to_string().parse()?)?;
    assert_eq!(Stepper::<f64>::state(&other), state);
    Ok(())
}
