. /work/scratch/bench4/u/env.sh
T="--set model.encoder_units=32 --set model.decoder_units=32 --set model.embedding_dim=32 --set tokenizer.vocab_size=1500 --set training.max_steps=12 --set training.tokens_per_batch=300 --set training.warmup_steps=2 --set training.device=cpu --set decoding.beam=1 --set decoding.max_length=20 --set training.max_epochs=null"
r=$1; shift
H train $r $T --set output=runs/$r "$@"; echo "exit $?"
