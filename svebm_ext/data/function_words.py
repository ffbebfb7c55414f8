"""Frequent words that say how a sentence is built and not what it is about, of some languages other than English.

They have no place in the name of a topic. English ones are scikit-learn's stop words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

#: Sentences by which the language of a text is told; share of the tokens that are function words of it, at least.
SENTENCES, LEAST_SHARE = 5000, 0.08

_WORDS = {
    "German": """
        der die das den dem des ein eine einen einem einer eines und oder aber nicht kein keine mit von vom zu zum zur
        für auf aus bei beim nach vor über unter durch gegen ohne um an am in im ins als wie ist sind war waren wird
        werden wurde wurden hat haben hatte kann können soll sollen muss er sie es ich du wir ihr ihm ihn ihnen mich mir
        dich dir uns euch sich sein seine seiner ihre ihrer ihren mein dein dass daß wenn weil ob auch noch nur schon so
        sehr mehr man was wer wo wann hier da dann denn doch diese dieser dieses diesem diesen alle alles bis seit
        während welche welcher
    """,
    "French": """
        le la les un une des du de d l au aux et ou où mais ne pas plus que qui quoi dont ce cet cette ces ça c se s sa
        son ses leur leurs mon ma mes ton ta tes notre nos votre vos je j tu il elle on nous vous ils elles me m te t
        lui y en dans sur sous avec sans pour par entre vers chez comme si est sont était étaient être été ai as a avons
        avez ont avait fait très aussi bien tout tous toute toutes quand même n qu
    """,
    "Spanish": """
        el la los las un una unos unas de del a al y e o u pero no ni que qué quien quién como cómo cuando cuándo donde
        dónde en con sin por para sobre entre hasta desde hacia se su sus mi mis tu tus nuestro nuestra lo le les me te
        nos yo tú él ella ellos ellas usted ustedes es son era eran ser está están estar fue ha han hay he este esta
        esto estos estas ese esa eso muy más también ya si sí todo toda todos todas
    """,
    "Italian": """
        il lo la i gli le l un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal dalla dai
        dalle in nel nella nei nelle con su sul sulla per tra fra e ed o ma non né che chi cui come quando dove se si mi
        ti ci vi ne suo sua suoi sue mio mia tuo tua nostro io tu lui lei noi voi loro è sono era erano essere stato ho
        hai ha hanno abbiamo questo questa questi queste quello quella più anche molto già tutto tutti
    """,
    "Portuguese": """
        o a os as um uma uns umas de do da dos das em no na nos nas ao aos à às por pelo pela pelos pelas para com sem
        sobre entre até e ou mas não nem que quem como quando onde se lhe me te eu tu ele ela nós eles elas você vocês
        meu minha seu sua seus suas nosso nossa é são era eram ser está estão estar foi há tem têm ter este esta isto
        esse essa isso muito mais também já todo toda todos todas
    """,
    "Dutch": """
        de het een en of maar niet geen met van voor op uit bij naar over onder door tegen zonder om aan in te ten ter
        als dan dat die dit deze is zijn was waren wordt worden werd heeft hebben had kan kunnen zal zullen moet hij zij
        ze ik jij je we wij jullie u mijn jouw haar hun ons onze zich er hier daar nog ook al zo zeer meer wat wie waar
        wanneer tot sinds
    """,
    "Russian": """
        и в во не на я он она оно они мы вы ты с со что а то как к ко у из за от до о об по для без при над под про это
        этот эта эти тот та те так но да нет же бы ли был была было были быть есть все всё его её ее их мне меня мой моя
        тебя тебе нас вас им ему ей себя который которая которые или если когда где кто чем ещё еще уже только очень
    """,
}
FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _WORDS.items()}


def function_words_of(sentences: Iterable[Sequence[str]], english: Iterable[str]) -> frozenset[str]:
    """Function words of the language that a text is in; none where it is English, or a language that is not known.

    The language is the one of which most tokens are function words.

    Args:
        sentences: tokens of the text, the first SENTENCES of which are looked at.
        english: function words of English.
    """
    counts = Counter(word.lower() for sentence in islice(sentences, SENTENCES) for word in sentence)
    n_tokens = max(1, counts.total())
    shares = {name: sum(counts[word] for word in words) / n_tokens for name, words in FUNCTION_WORDS.items()}
    language = max(shares, key=lambda name: shares[name])
    in_english = sum(counts[word] for word in set(english)) / n_tokens
    return FUNCTION_WORDS[language] if shares[language] > max(LEAST_SHARE, in_english) else frozenset()
