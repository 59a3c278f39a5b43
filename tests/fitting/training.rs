//! Training in batches held against numbers from PyTorch 2.5.1 (on the CPU): schedules, clipping, parameter groups, a whole training.

use super::{bits, setting};
use std::cell::RefCell;
use std::ops::ControlFlow::Continue;
use tapeless::fit::{Adam, AdamW, OnPlateau, Schedule, Sgd, Stepper, Stop, Training, clip_norm};
use tapeless::prelude::*;
use tapeless::{Error, Real, Result, compile};

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * e.abs(), "{found:?}\nPyTorch: {expected:?}");
    }
}

fn values<T: Real>(theta: &Params<T>) -> Vec<f64> {
    theta.values().iter().map(|x| x.to_f64()).collect()
}

#[test]
fn schedules_follow_pytorch() {
    let cases: [(Schedule, &[f64]); 6] = [
        // StepLR(3, 0.5)
        (Schedule::step_decay(0.1, 3, 0.5), &[0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125, 0.0125, 0.0125, 0.00625, 0.00625]),
        // MultiStepLR([2, 5, 11], 0.3)
        (
            Schedule::milestones(0.1, [2, 5, 11], 0.3),
            &[0.1, 0.1, 0.03, 0.03, 0.03, 0.009, 0.009, 0.009, 0.009, 0.009, 0.009, 0.0026999999999999997, 0.0026999999999999997, 0.0026999999999999997],
        ),
        // ExponentialLR(0.9)
        (
            Schedule::exponential(0.1, 0.9),
            &[0.1, 0.09000000000000001, 0.08100000000000002, 0.07290000000000002, 0.06561000000000002, 0.05904900000000002, 0.05314410000000002, 0.04782969],
        ),
        // CosineAnnealingLR(13, eta_min=0.001)
        (
            Schedule::cosine(0.1, 0.001, 13),
            &[
                0.1,
                0.09856161996258958,
                0.09433007326983389,
                0.0875512820344695,
                0.07861920496319222,
                0.0680529419086055,
                0.056466565672638476,
                0.04453343432736151,
                0.03294705809139449,
                0.022380795036807788,
                0.013448717965530488,
                0.006669926730166124,
                0.002438380037410425,
                0.001,
            ],
        ),
        // SequentialLR([LinearLR(0.25, 1.0, 4), CosineAnnealingLR(9, 0.002)], [4])
        (
            Schedule::cosine(0.1, 0.002, 9).warm_up(4, 0.25),
            &[
                0.025,
                0.043750000000000004,
                0.06250000000000001,
                0.08125000000000002,
                0.1,
                0.09704493841850952,
                0.08853617771282991,
                0.0755,
                0.05950876070567959,
                0.042491239294320415,
                0.02650000000000001,
                0.013463822287170081,
                0.004955061581490493,
                0.002,
            ],
        ),
        // SequentialLR([LinearLR(0.1, 1.0, 5), StepLR(2, 0.5)], [5])
        (Schedule::step_decay(0.1, 2, 0.5).warm_up(5, 0.1), &[0.01, 0.028, 0.046, 0.064, 0.082, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625]),
    ];
    for (schedule, expected) in cases {
        assert!(schedule.check().is_ok());
        let rates: Vec<f64> = (0..expected.len() as u64).map(|t| schedule.rate(t)).collect();
        close(&rates, expected, 1e-13);
    }
    let far = Schedule::cosine(0.1, 0.002, 9).warm_up(4, 0.25);
    assert_eq!((far.rate(1 << 40), far.rate(u64::MAX), Schedule::constant(0.5).rate(7)), (0.002, 0.002, 0.5));
}

#[test]
fn a_plateau_follows_pytorch() {
    let losses =
        [5., 4., 3., 3., 3., 2.9999, 3., 2.5, 2.6, 2.6, 2.6, 2.6, 2.4, 2.6, 2.6, 2.6, 2.6, 2.6, 2.6, 2.39, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5];
    let follow = |plateau: OnPlateau, losses: &[f64]| -> Vec<f64> {
        let mut schedule = Schedule::from(plateau);
        assert!(schedule.check().is_ok());
        let one = |(t, loss): (usize, &f64)| {
            schedule.observe(t as u64, *loss);
            schedule.rate(t as u64)
        };
        losses.iter().enumerate().map(one).collect()
    };
    // How long each rate holds, from ReduceLROnPlateau.
    let runs = |runs: &[(f64, usize)]| runs.iter().flat_map(|(rate, n)| vec![*rate; *n]).collect::<Vec<f64>>();
    // (factor=0.5, patience=2)
    let expected = runs(&[(0.1, 5), (0.05, 5), (0.025, 5), (0.0125, 3), (0.00625, 4), (0.003125, 3), (0.0015625, 3), (0.00078125, 2)]);
    close(&follow(OnPlateau::new(0.1).factor(0.5).patience(2), &losses), &expected, 1e-14);
    // (factor=0.3, patience=1, cooldown=2, min_lr=0.004, threshold=0.05)
    let plateau = OnPlateau::new(0.1).factor(0.3).patience(1).cooldown(2).minimum(0.004).threshold(0.05);
    close(&follow(plateau, &losses), &runs(&[(0.1, 4), (0.03, 5), (0.009, 4), (0.004, 17)]), 1e-14);
    // (factor=0.1, patience=0, threshold=0): below 1e-8 the rate stays.
    let steep = runs(&[(0.1, 3), (1e-2, 1), (1e-3, 2), (1e-4, 2), (1e-5, 1), (1e-6, 1), (1e-7, 1), (1e-8, 19)]);
    close(&follow(OnPlateau::new(0.1).factor(0.1).patience(0).threshold(0.0), &losses), &steep, 1e-14);
    // Below 0 an improvement is one downwards.
    let rates = follow(OnPlateau::new(1.0).factor(0.5).patience(0).threshold(0.1), &[-1.0, -1.05, -1.2, -1.19, -1.4]);
    assert_eq!(rates, [1.0, 0.5, 0.5, 0.25, 0.25]);
    // The losses of a warm-up don't count.
    let mut warm = Schedule::from(OnPlateau::new(1.0).factor(0.5).patience(0)).warm_up(3, 0.0);
    (0..5).for_each(|t| warm.observe(t, 1.0));
    assert_eq!([2, 3, 5].map(|t| warm.rate(t)), [1.0 / 3.0, 0.5, 0.5]);
}

/// A gradient of these numbers.
fn gradient<T: Real>(numbers: &[f64]) -> Result<Grad<T>> {
    let g = Graph::new();
    let mut grad = compile::<T>(g.param_with("v", &[numbers.len()]).sum(), &Options::new())?.zeros();
    grad.set("v", numbers)?;
    Ok(grad)
}

#[test]
fn clipping_follows_pytorch() -> Result<()> {
    let mut grad = gradient::<f64>(&[3.0, -4.0, 12.0, 0.5])?;
    close(&[clip_norm(&mut grad, 2.0)?], &[13.009611831257688], 1e-15);
    close(grad.values(), &[0.4611974297639385, -0.614929906351918, 1.844789719055754, 0.07686623829398975], 1e-15);
    let mut grad = gradient::<f32>(&[3.0, -4.0, 12.0, 0.5])?;
    close(&[clip_norm(&mut grad, 2.0)?], &[13.009612083435059], 1e-7);
    close(&values(&grad), &[0.4611974358558655, -0.6149299144744873, 1.844789743423462, 0.07686623930931091], 2e-7);
    let mut grad = gradient::<f64>(&[0.3, -0.4])?;
    assert_eq!((clip_norm(&mut grad, 2.0)?, grad.values()), (0.5, &[0.3, -0.4][..]));
    // The 1e-6 in the denominator.
    let mut grad = gradient::<f64>(&[1.2e-7, -1.6e-7])?;
    close(&[clip_norm(&mut grad, 1e-7)?], &[2e-7], 1e-15);
    close(grad.values(), &[9.999999999999999e-09, -1.3333333333333334e-08], 1e-15);
    // Squares out of range; no limit; all of it; nonsense.
    let mut grad = gradient::<f64>(&[3e200, -4e200])?;
    close(&[clip_norm(&mut grad, 1.0)?, grad.norm()], &[5e200, 1.0], 1e-15);
    let mut grad = gradient::<f64>(&[3e-200, -4e-200])?;
    close(&[clip_norm(&mut grad, f64::INFINITY)?, grad.values()[0]], &[5e-200, 3e-200], 1e-15);
    assert_eq!((clip_norm(&mut grad, 0.0)?, grad.norm()), (grad.norm() + 5e-200, 0.0));
    for max in [-1.0, f64::NAN] {
        assert_eq!(setting(clip_norm(&mut grad, max)), "clip_norm");
    }
    Ok(())
}

/// `0.5 (a-1)^2 + (b+2)^2 + 0.25 c^2 + 0.1 (a+b)^4 + 0.05 (b-c)^4 + 0.02 c^4`.
fn quartic<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    let (a, b, c) = (g.param("a"), g.param("b"), g.param("c"));
    let quadratic = 0.5 * (a - 1.0).square() + (b + 2.0).square() + 0.25 * c.square();
    compile(quadratic + 0.1 * (a + b).powi(4) + 0.05 * (b - c).powi(4) + 0.02 * c.powi(4), &Options::new())
}

const START: [(&str, f64); 3] = [("a", 1.5), ("b", -0.5), ("c", 2.0)];

/// `a` at half the rate, `b` with decay 0.2, `c` at twice the rate without decay: the parameters after steps 1, 2, 3, 10 and 100.
fn groups_follow<T: Real>(tolerance: f64) -> Result<()> {
    macro_rules! grouped {
        ($stepper:expr) => {
            Box::new($stepper.learning_rate_factor("a", 0.5).weight_decay_of("b", 0.2).learning_rate_factor("c", 2.0).weight_decay_of("c", 0.0))
        };
    }
    type Case<T> = (Option<f64>, Box<dyn Stepper<T>>, [[f64; 3]; 5]);
    let cases: [Case<T>; 6] = [
        (
            None,
            grouped!(Sgd::new(0.02).weight_decay(0.05)),
            [
                [1.49025, -0.5035, 1.8094],
                [1.4807592775548126, -0.519540701387619, 1.655272705875819],
                [1.4716588675493318, -0.5426399397033534, 1.5253625114627984],
                [1.4196022720161243, -0.7538104692940975, 0.9349206570057685],
                [1.1408736289968573, -1.634120152357075, -0.4854177512159903],
            ],
        ),
        (
            None,
            grouped!(Sgd::new(0.02).momentum(0.9).nesterov(true)),
            [
                [1.4829, -0.50665, 1.63786],
                [1.4593636411882813, -0.5583170589833011, 1.2446125910375505],
                [1.4315889019576793, -0.6535906606220832, 0.8557374597212857],
                [1.2198291340400513, -1.7617477878633674, -1.013070462729925],
                [1.076998049619792, -1.6546225439298299, -0.534484235311742],
            ],
        ),
        (
            None,
            grouped!(Adam::new(0.05).weight_decay(0.1)),
            [
                [1.4750000002380952, -0.5499999971428573, 1.9000000002098636],
                [1.4501113475683096, -0.599906108561616, 1.8002462754342443],
                [1.4254045569730462, -0.6497268395041249, 1.7009079196356431],
                [1.2621104577518227, -0.9979618742830328, 1.0310939623504263],
                [0.9974571606626627, -1.6401247397029952, -0.5150304038350539],
            ],
        ),
        (
            None,
            grouped!(Adam::new(0.05).amsgrad(true)),
            [
                [1.475000000277778, -0.5499999971428573, 1.9000000002098636],
                [1.4501345584180743, -0.5999061085621107, 1.8002462754342443],
                [1.425491631637305, -0.6497271363471763, 1.7009079196356407],
                [1.265140979194114, -0.9979976160249773, 1.0310931548305133],
                [1.0713180218962313, -1.6511955075085858, -0.5208137122470697],
            ],
        ),
        (
            None,
            grouped!(AdamW::new(0.05)),
            [
                [1.4746250002777779, -0.5449999981818182, 1.9000000002098636],
                [1.44938302638872, -0.5896173583812558, 1.8002641550295908],
                [1.4243573890255825, -0.6339005353564988, 1.7009761020903802],
                [1.261123410616851, -0.938121173241225, 1.0338837675973156],
                [1.096971848470115, -1.7406761678003546, -0.5736766433993217],
            ],
        ),
        (
            Some(0.75),
            grouped!(Sgd::new(0.02).momentum(0.9)),
            [
                [1.4986102653404587, -0.498849282291942, 1.9705685082101567],
                [1.4959296830164226, -0.49706068762543015, 1.9147354098419933],
                [1.492011709804501, -0.4954779595816479, 1.8353738945582256],
                [1.4319249949897404, -0.5949425326901525, 0.8881483127938183],
                [1.0767775384520255, -1.6599773227255217, -0.5426421291377502],
            ],
        ),
    ];
    let program = quartic::<T>()?;
    let data = program.bind::<&str, &[T]>([])?;
    for (clip, mut stepper, expected) in cases {
        let (mut theta, mut grad) = (program.params(START)?, program.grad_zeros());
        for step in 1..=100 {
            data.value_and_grad_into(&theta, &mut grad)?;
            if let Some(max) = clip {
                clip_norm(&mut grad, max)?;
            }
            stepper.step(&mut theta, &grad)?;
            if let Some(k) = [1, 2, 3, 10, 100].iter().position(|s| *s == step) {
                close(&values(&theta), &expected[k], tolerance);
            }
        }
    }
    Ok(())
}

#[test]
fn parameter_groups_follow_pytorch() -> Result<()> {
    groups_follow::<f64>(1e-12)?;
    groups_follow::<f32>(2e-5)
}

#[test]
fn groups_are_checked_and_saved() -> Result<()> {
    let program = quartic::<f64>()?;
    let data = program.bind::<&str, &[f64]>([])?;
    let mut theta = program.params(START)?;
    let (_, grad) = data.value_and_grad(&theta)?;
    let unknown: [Box<dyn Stepper<f64>>; 3] = [
        Box::new(Sgd::new(0.1).learning_rate_factor("z", 2.0)),
        Box::new(Adam::new(0.1).weight_decay_of("z", 2.0)),
        Box::new(AdamW::new(0.1).learning_rate_factor("b", 1.0).learning_rate_factor("z", 2.0)),
    ];
    for mut stepper in unknown {
        let before = (theta.clone(), stepper.state());
        assert_eq!(stepper.step(&mut theta, &grad), Err(Error::UnknownParam { name: "z".into(), known: vec!["a".into(), "b".into(), "c".into()] }));
        assert_eq!((theta.clone(), stepper.state()), before);
    }
    assert_eq!(setting(Sgd::<f64>::new(0.1).learning_rate_factor("a", -1.0).check()), "learning_rate_factor of a");
    assert_eq!(setting(Adam::<f64>::new(0.1).weight_decay_of("b", f64::NAN).step(&mut theta, &grad)), "weight_decay of b");
    assert_eq!(setting(AdamW::<f32>::new(0.1).weight_decay_of("b", 1e300).check()), "weight_decay of b");
    // Settings are part of the state; the last word on one counts.
    let make = |factor: f64| Adam::<f64>::new(0.1).learning_rate_factor("a", 9.0).learning_rate_factor("a", factor);
    let mut adam = make(2.0);
    adam.step(&mut theta, &grad)?;
    let saved = adam.state();
    assert_eq!(saved.settings.last(), Some(&("learning_rate_factor of a".to_string(), 2.0)));
    assert_eq!(setting(make(3.0).restore(&saved)), "learning_rate_factor of a");
    assert_eq!(setting(Adam::<f64>::new(0.1).restore(&saved)), "learning_rate_factor of a");
    let mut other = make(2.0);
    other.restore(&saved.to_string().parse()?)?;
    let mut there = theta.clone();
    adam.step(&mut theta, &grad)?;
    other.step(&mut there, &grad)?;
    assert_eq!(bits(&theta), bits(&there));
    Ok(())
}

const T_C: [f64; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
const T_U: [f64; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];

/// The mean squared error of a straight line.
fn line<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    compile((g.param("w") * g.data("x") + g.param("b") - g.data("y")).square().mean(), &Options::new())
}

fn a_whole_training<T: Real>(tolerance: f64) -> Result<()> {
    let program = line::<T>()?;
    let (x, y) = (T_U.map(|t| T::from_f64(0.1) * T::from_f64(t)), T_C.map(T::from_f64));
    let data = program.bind([("x", &x), ("y", &y)])?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let seen = RefCell::new(Vec::new());
    let stepper = Sgd::new(0.01).momentum(0.8).weight_decay_of("w", 0.01).learning_rate_factor("b", 2.0);
    let mut training =
        Training::new(&data, stepper).batch_size(4).epochs(30).clip_norm(20.0).schedule(Schedule::cosine(0.01, 0.0, 30).by_epoch()).observe_epochs(|e| {
            let theta = values(e.theta);
            seen.borrow_mut().push(vec![e.loss, theta[0], theta[1], e.learning_rate]);
            assert_eq!(e.step, 3 * e.epoch);
            Continue(())
        });
    let outcome = training.run(&mut theta)?;
    assert_eq!((outcome.steps, outcome.reason), (90, Stop::Steps));
    let norms: Vec<f64> = training.history().rows().map(|row| row.grad_norm).collect();
    drop(training);
    // Epochs 1, 2, 10 and 30: mean loss, w, b, learning rate; the norm of the last batch's gradient before clipping.
    let expected = [
        [69.73576649990319, 1.8206646945627567, 0.163669408443558, 0.01],
        [39.12247529585232, 2.550063913605637, 0.1506763281103696, 0.009972609476841367],
        [21.933818569572228, 2.8757676985185037, -3.4190184928146876, 0.007938926261462365],
        [13.52991498729324, 3.3872080951861268, -6.342460549864154, 2.7390523158632995e-05],
    ];
    for (epoch, expected) in [1, 2, 10, 30].into_iter().zip(expected) {
        close(&seen.borrow()[epoch - 1], &expected, tolerance);
    }
    close(&[norms[2], norms[5], norms[29], norms[89]], &[65.19137183736605, 16.630295459483655, 1.729660967953994, 1.5992032234427271], 20.0 * tolerance);
    Ok(())
}

#[test]
fn a_whole_training_in_batches_follows_pytorch() -> Result<()> {
    a_whole_training::<f64>(1e-12)?;
    a_whole_training::<f32>(3e-6)
}
